-- Speaks RESP2, the protocol of Redis. No sockets here.

local byte, concat, find, sub = string.byte, table.concat, string.find, string.sub
local tonumber, tostring = tonumber, tostring

local _M = {}

-- null is a reply without a value.
_M.null = setmetatable({}, { __tostring = function() return "null" end })

-- A reply nests at most this deep, and a bulk is at most this long, in bytes:
-- chains and keys are a few kilobytes.
local MAX_DEPTH, MAX_BULK, MAX_ARRAY = 4, 1048576, 4096

-- encode answers a command, given as a list, as it goes over the wire.
function _M.encode(command)
    local out = { "*" .. #command .. "\r\n" }
    for i = 1, #command do
        local arg = tostring(command[i])
        out[#out + 1] = "$" .. #arg .. "\r\n" .. arg .. "\r\n"
    end
    return concat(out)
end

local decode

local function bulk(buf, line_end, length)
    if length == -1 then
        return _M.null, line_end + 2
    end
    if not length or length < 0 or length > MAX_BULK then
        return nil, nil, "bad length"
    end
    local last = line_end + 1 + length
    if #buf < last + 2 then
        return nil
    end
    return sub(buf, line_end + 2, last), last + 3
end

local function array(buf, line_end, length, depth)
    if length == -1 then
        return _M.null, line_end + 2
    end
    if not length or length < 0 or length > MAX_ARRAY or depth > MAX_DEPTH then
        return nil, nil, "bad length"
    end
    local out, pos = {}, line_end + 2
    for i = 1, length do
        local value, following, err = decode(buf, pos, depth + 1)
        if not following then
            return nil, nil, err
        end
        out[i], pos = value, following
    end
    return out, pos
end

-- decode reads one reply at pos and answers it with the position after it. It
-- answers nil when more bytes are needed, and nil, nil, error for what is no
-- reply. An error reply is {error = text}.
function decode(buf, pos, depth)
    local line_end = find(buf, "\r\n", pos, true)
    if not line_end then
        if #buf - pos > MAX_BULK then
            return nil, nil, "endless line"
        end
        return nil
    end
    local kind, line = byte(buf, pos), sub(buf, pos + 1, line_end - 1)
    if kind == 36 then -- $
        return bulk(buf, line_end, tonumber(line))
    elseif kind == 42 then -- *
        return array(buf, line_end, tonumber(line), depth or 0)
    elseif kind == 43 then -- +
        return line, line_end + 2
    elseif kind == 58 then -- :
        return tonumber(line) or 0, line_end + 2
    elseif kind == 45 then -- -
        return { error = line }, line_end + 2
    end
    return nil, nil, "not the protocol of Redis"
end

_M.decode = decode

return _M
