"""Lua scripts: what the server does in one piece, so that no cut leaves it half done.

Asked for twice, because the first answer was lost, they act once.
"""

from __future__ import annotations

from typing import Final

PUBLISH: Final = """
local last = 0
for key = 1, #KEYS do
  local first = last + 2
  last = last + 1 + tonumber(ARGV[last + 1])
  for place = first, last do redis.call('XADD', KEYS[key], '*', 'm', ARGV[place]) end
end
"""
"""Keys: topics. Arguments: for each the number of its messages, then the messages. One question for a
batch takes a fraction of the time that as many in a pipeline take, and the batch is there as a whole
or not at all: whoever waits for several topics is not given one without the others."""

BURY: Final = """
if redis.call('XACK', KEYS[1], ARGV[1], ARGV[2]) == 0 then return 0 end
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[3], '*',
           'm', ARGV[4], 'group', ARGV[1], 'error', ARGV[5], 'tries', ARGV[6])
return 1
"""
"""Keys: the topic, its dead letters. Arguments: group, id, most dead letters, message, error, tries."""

RETRY: Final = """
if redis.call('XDEL', KEYS[1], ARGV[1]) == 0 then return 0 end
redis.call('XADD', KEYS[2], '*', 'm', ARGV[2])
return 1
"""
"""Keys: the dead letters, their topic. Arguments: dead letter's id, message."""

FORGET: Final = """
if redis.call('EXISTS', KEYS[1]) == 0 then return {} end
local function fields(flat)
  local found = {}
  for i = 1, #flat, 2 do found[flat[i]] = flat[i + 1] end
  return found
end
local limit, gone = tonumber(ARGV[1]), {}
for _, flat in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local group, alive, dead = fields(flat)['name'], 0, {}
  for _, entry in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], group)) do
    local consumer = fields(entry)
    if consumer['idle'] < limit then alive = alive + 1 else dead[#dead + 1] = consumer end
  end
  if alive == 0 and #dead > 0 then
    redis.call('XGROUP', 'DESTROY', KEYS[1], group)
    gone[#gone + 1] = group
  else
    for _, consumer in ipairs(dead) do
      if consumer['pending'] == 0 then
        redis.call('XGROUP', 'DELCONSUMER', KEYS[1], group, consumer['name'])
      end
    end
  end
end
return gone
"""
"""Key: the topic. Argument: milliseconds without a sign of life. Removes groups that nobody reads
for, and consumers that are gone and left nothing; returns the groups."""

TRIM: Final = """
if redis.call('EXISTS', KEYS[1]) == 0 then return {0, false} end
local function parts(id)
  local ms, seq = string.match(id, '(%d+)-(%d+)')
  return tonumber(ms), tonumber(seq)
end
local function before(a, b)
  local ams, aseq = parts(a)
  local bms, bseq = parts(b)
  return ams < bms or (ams == bms and aseq < bseq)
end
local low = ARGV[3]
for _, flat in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local group = {}
  for i = 1, #flat, 2 do group[flat[i]] = flat[i + 1] end
  local needed
  if group['pending'] > 0 then
    needed = redis.call('XPENDING', KEYS[1], group['name'])[2]
  else
    local ms, seq = parts(group['last-delivered-id'])
    needed = string.format('%.0f-%.0f', ms, seq + 1)
  end
  if before(needed, low) then low = needed end
end
local aged = ARGV[2]
if before(low, aged) then aged = low end
local removed = redis.call('XTRIM', KEYS[1], 'MINID', '=', aged)
local excess = redis.call('XLEN', KEYS[1]) - tonumber(ARGV[1])
if excess > 0 then
  removed = removed + redis.call('XTRIM', KEYS[1], 'MINID', '~', low, 'LIMIT', excess)
end
local first = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)
return {removed, first[1] and first[1][1] or false}
"""
"""Key: the topic. Arguments: messages to keep, oldest id to keep, the largest id. Removes what is
too old or too much, but nothing that a group has not got or has pending; returns how many, and the
id of the first that is left."""

SERVER: Final = """
return string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
"""
"""What the server calls itself, anew whenever it is started; all of `INFO` would be a page."""
