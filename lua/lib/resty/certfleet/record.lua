-- A record is what was found for a name: one pair, or an RSA pair beside it. In
-- the shared dict it is one value, so that no half of it can be evicted.
--
--   {from = entry's name, fetched = seconds, pairs = {{chain, key, key_id, generation}, ...}}

local concat, sub = table.concat, string.sub

local _M = {}

-- encode: a line for the record, a line for each pair, then the texts.
function _M.encode(r)
    local out = { string.format("1 %.3f %d %s\n", r.fetched, #r.pairs, r.from) }
    for _, p in ipairs(r.pairs) do
        out[#out + 1] = string.format("%d %d %s %s\n", #p.chain, #p.key, p.generation or "0", p.key_id or "-")
    end
    for _, p in ipairs(r.pairs) do
        out[#out + 1] = p.chain
        out[#out + 1] = p.key
    end
    return concat(out)
end

local function header(s)
    local fetched, count, from, pos = s:match("^1 ([%d.]+) (%d+) (%S+)\n()")
    if not pos then
        return nil
    end
    return { fetched = tonumber(fetched), from = from, pairs = {} }, tonumber(count), pos
end

-- decode answers nil for what is no record.
function _M.decode(s)
    local r, count, pos = header(s)
    if not r then
        return nil
    end
    local sizes = {}
    for i = 1, count do
        local chain, key, generation, key_id, following = s:match("^(%d+) (%d+) (%S+) (%S+)\n()", pos)
        if not following then
            return nil
        end
        sizes[i], pos = { tonumber(chain), tonumber(key) }, following
        r.pairs[i] = { generation = generation, key_id = key_id ~= "-" and key_id or nil }
    end
    for i, p in ipairs(r.pairs) do
        p.chain = sub(s, pos, pos + sizes[i][1] - 1)
        pos = pos + sizes[i][1]
        p.key = sub(s, pos, pos + sizes[i][2] - 1)
        pos = pos + sizes[i][2]
    end
    return pos == #s + 1 and r or nil
end

return _M
