// What happens to a registry in one piece, in the Lua of Redis. A registry is a hash: a field for each statement (see
// `statements.ts`), and the field `version`, which is "epoch.counter.stamp": the epoch is drawn when a registry is begun,
// the counter grows with each change, the stamp is drawn for each change. A script that has done its work answers with the whole
// hash, and EDIT with the values before that of each statement.

/**
 * Writes statements on top of the version that the caller knows the epoch of.
 *
 * KEYS[1] the registry. ARGV: the known epoch or "", an epoch to begin with, a stamp, the most statements, the channel, the
 * message, a guard (the name of a statement or "", a value, "1" if that must be its value or "0" if it must not), then names and
 * values of statements, "" to take one back. Answers "unknown" when the registry has another epoch: it has been emptied or begun
 * anew, and what was known must be put back first; "moved" when the guard says no; "full" when it would grow too large.
 */
export const EDIT = `
local key = KEYS[1]
local version = redis.call('HGET', key, 'version')
local epoch, counter = string.match(version or '', '^(%w+)%.(%d+)%.')
if (epoch or '') ~= ARGV[1] then return 'unknown' end
if ARGV[7] ~= '' and ((redis.call('HGET', key, ARGV[7]) or '') == ARGV[8]) ~= (ARGV[9] == '1') then return 'moved' end
local replaced, changed, growth = {}, {}, 0
for i = 10, #ARGV, 2 do
  local before = redis.call('HGET', key, ARGV[i]) or ''
  replaced[#replaced + 1] = before
  if before ~= ARGV[i + 1] then
    changed[#changed + 1] = i
    if before == '' then growth = growth + 1 end
    if ARGV[i + 1] == '' then growth = growth - 1 end
  end
end
local size = redis.call('HLEN', key) - (version and 1 or 0)
if growth > 0 and size + growth > tonumber(ARGV[4]) then return 'full' end
for _, i in ipairs(changed) do
  if ARGV[i + 1] == '' then redis.call('HDEL', key, ARGV[i]) else redis.call('HSET', key, ARGV[i], ARGV[i + 1]) end
end
if #changed > 0 then
  redis.call('HSET', key, 'version', (epoch or ARGV[2]) .. '.' .. string.format('%d', (counter or 0) + 1) .. '.' .. ARGV[3])
  redis.call('PUBLISH', ARGV[5], ARGV[6])
end
return {replaced, redis.call('HGETALL', key)}
`;

/**
 * Puts back what the caller knows, if the store has lost it; else the store's word counts and nothing is written.
 *
 * - No registry: it was emptied. All is put back, and marked as restored.
 * - A restored one of the same epoch with a lower counter, on which no edit has been made: somebody who knew less was first.
 * - Another epoch: somebody who knew nothing began a new one. What it says counts, and what it lacks is added.
 *
 * KEYS[1] the registry. ARGV: the known version, a stamp, the channel, the message, then names and values of statements.
 */
export const RESTORE = `
local key = KEYS[1]
local version = redis.call('HGET', key, 'version')
local epoch, counter, stamp = string.match(ARGV[1], '^(%w+)%.(%d+)%.(%w+)')
if version then
  local itsEpoch, itsCounter, mark = string.match(version, '^(%w+)%.(%d+)%.%w+(.*)$')
  if itsEpoch ~= epoch then
    local added = 0
    for i = 5, #ARGV, 2 do added = added + redis.call('HSETNX', key, ARGV[i], ARGV[i + 1]) end
    if added > 0 then
      redis.call('HSET', key, 'version', (itsEpoch or epoch) .. '.' .. string.format('%d', (itsCounter or counter) + 1) .. '.' .. ARGV[2])
      redis.call('PUBLISH', ARGV[3], ARGV[4])
    end
    return redis.call('HGETALL', key)
  end
  if mark == '' or tonumber(itsCounter) >= tonumber(counter) then return redis.call('HGETALL', key) end
  redis.call('DEL', key)
end
for i = 5, #ARGV, 2 do redis.call('HSET', key, ARGV[i], ARGV[i + 1]) end
redis.call('HSET', key, 'version', epoch .. '.' .. counter .. '.' .. stamp .. '.restored')
redis.call('PUBLISH', ARGV[3], ARGV[4])
return redis.call('HGETALL', key)
`;
