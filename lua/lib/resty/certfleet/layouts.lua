-- The layouts of certificates in Redis. Each looks for a name and, in the same
-- round trip, for its wildcard.

local resp = require "resty.certfleet.resp"

local null = resp.null

local _M = {}

-- checked refuses a reply that is an error (wrong type, no permission).
local function checked(replies)
    for _, r in ipairs(replies) do
        if type(r) == "table" and r.error then
            return nil, r.error
        end
    end
    return replies
end

local function ask(client, commands)
    local replies, err = client:pipeline(commands)
    if not replies then
        return nil, err
    end
    return checked(replies)
end

local function present(values)
    for _, v in ipairs(values) do
        if v ~= null then
            return true
        end
    end
    return false
end

local function whole(values, from, to)
    for i = from, to do
        if values[i] == null or values[i] == "" then
            return false
        end
    end
    return true
end

-- first answers the fields of the name, or of its wildcard, and whose they are.
local function first(client, o, kind, fields, name, wildcard)
    local commands = {}
    for i, n in ipairs({ name, wildcard }) do
        commands[i] = { "HMGET", o.prefix .. kind .. n, unpack(fields) }
    end
    local replies, err = ask(client, commands)
    if not replies then
        return nil, err
    end
    for i, values in ipairs(replies) do
        if type(values) == "table" and present(values) then
            return values, i == 1 and name or wildcard
        end
    end
    return nil
end

local function half(from)
    return nil, "half a pair for " .. from
end

local function one(from, chain, key, key_id)
    return { from = from, pairs = { { chain = chain, key = key, key_id = key_id } } }
end

_M[1] = function(client, o, name, wildcard)
    local ids, from = first(client, o, "d1:", { "c", "p", "i" }, name, wildcard)
    if not ids then
        return nil, from
    end
    if not whole(ids, 1, 3) then
        return half(from)
    end
    local pem, err = ask(client, { { "GET", o.prefix .. "c:" .. ids[1] }, { "GET", o.prefix .. "p:" .. ids[2] }, { "GET", o.prefix .. "i:" .. ids[3] } })
    if not pem then
        return nil, err
    end
    -- A chain may be empty: a leaf that its root signed.
    if not whole(pem, 1, 2) or pem[3] == null then
        return half(from)
    end
    return one(from, pem[1] .. "\n" .. pem[3], pem[2])
end

_M[2] = function(client, o, name, wildcard)
    local values, from = first(client, o, "d2:", { "f", "p" }, name, wildcard)
    if not values then
        return nil, from
    end
    if not whole(values, 1, 2) then
        return half(from)
    end
    return one(from, values[1], values[2])
end

local FIELDS = { "g", "f", "k", "g2", "f2", "k2" }

-- The keys of both pairs come in one more round trip.
_M[3] = function(client, o, name, wildcard)
    local values, from = first(client, o, "d3:", FIELDS, name, wildcard)
    if not values then
        return nil, from
    end
    local pairs_, commands = {}, {}
    for i = 0, 3, 3 do
        if whole(values, i + 1, i + 3) then
            pairs_[#pairs_ + 1] = { generation = values[i + 1], chain = values[i + 2], key_id = values[i + 3] }
            commands[#commands + 1] = { "GET", o.prefix .. "k3:" .. values[i + 3] }
        end
    end
    if #commands == 0 then
        return half(from)
    end
    local keys, err = ask(client, commands)
    if not keys then
        return nil, err
    end
    for i, key in ipairs(keys) do
        if key == null then
            return half(from)
        end
        pairs_[i].key = key
    end
    return { from = from, pairs = pairs_ }
end

return _M
