-- Which server names are looked up at all. Everything else gets the default
-- certificate before it reaches a cache, a Redis command or a URL.

local byte, find, lower, sub = string.byte, string.find, string.lower, string.sub

local _M = {}

-- RFC 1035 section 2.3.4, in text form.
local MAX_NAME, MAX_LABEL = 253, 63

local function labels_fit(name)
    local from = 1
    while true do
        local dot = find(name, ".", from, true)
        local length = (dot or #name + 1) - from
        if length < 1 or length > MAX_LABEL then
            return false
        end
        if not dot then
            return true
        end
        from = dot + 1
    end
end

-- normalize answers the name in lower case without a trailing dot, or nil and
-- why it is refused.
function _M.normalize(raw)
    if type(raw) ~= "string" or raw == "" then
        return nil, "empty"
    end
    if byte(raw, -1) == 46 then
        raw = sub(raw, 1, -2)
    end
    if #raw > MAX_NAME then
        return nil, "too long"
    end
    local name = lower(raw)
    if find(name, "[^a-z0-9._-]") then
        return nil, "no host name"
    end
    if not labels_fit(name) then
        return nil, "label"
    end
    if not find(name, "[^0-9.]") then
        return nil, "an address"
    end
    return name
end

-- wildcard answers *.parent, or nil where no CA signs one.
function _M.wildcard(name)
    local dot = find(name, ".", 1, true)
    if dot and find(name, ".", dot + 1, true) then
        return "*" .. sub(name, dot)
    end
end

-- is_entry says whether something is the name of an entry: a host name, or a
-- wildcard.
function _M.is_entry(name)
    if type(name) ~= "string" then
        return false
    end
    local base = sub(name, 1, 2) == "*." and sub(name, 3) or name
    return _M.normalize(base) == base
end

return _M
