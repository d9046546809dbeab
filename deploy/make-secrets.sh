#!/bin/sh
# Makes the secrets that compose.yaml names, in deploy/secrets/; those that are there stay.
set -eu
umask 077
cd "$(dirname "$0")"
mkdir -p secrets
cd secrets

random() { od -An -N 24 -tx1 /dev/urandom | tr -d ' \n'; }
keep() { [ -s "$1" ] || printf '%s' "$2" > "$1"; }

keep postgres-password "$(random)"
keep bus-password "$(random)"
keep s3-access-key "esper-$(random)"
keep s3-secret-key "$(random)"
keep nissa-token "$(random)"

postgres=$(cat postgres-password) bus=$(cat bus-password)
keep urza-database.url "postgresql://esper:$postgres@postgres:5432/urza"
keep nissa-database.url "postgresql://esper:$postgres@postgres:5432/nissa"
keep bus.url "redis://:$bus@bus:6379/0"
keep bus.conf "requirepass $bus
appendonly yes
appendfsync everysec
save \"\"
dir /data
"
keep s3.json "{\"identities\": [{\"name\": \"esper\", \"credentials\": [{\"accessKey\": \"$(cat s3-access-key)\", \"secretKey\": \"$(cat s3-secret-key)\"}], \"actions\": [\"Admin\", \"Read\", \"List\", \"Tagging\", \"Write\"]}]}"
# The containers' users, who are not you, have to read them; the folder keeps others out.
chmod 700 . && chmod 644 -- *
