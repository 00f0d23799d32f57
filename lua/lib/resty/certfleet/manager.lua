-- Asks the manager over HTTP: the lookup, and an order on demand.

local cjson = require "cjson.safe"
local http = require "resty.certfleet.http"

local _M = {}

-- Under which key each generation of managers answers; the one with several
-- names goes first.
_M.preferences = {
    "x509_certificate__latest_multi", "x509_certificate__latest_single",
    "certificate_signed__latest_multi", "certificate_signed__latest_single",
    "server_certificate__latest_multi", "server_certificate__latest_single",
}

local function text(t, part)
    local v = type(t) == "table" and t[part]
    local pem = type(v) == "table" and v.pem
    return type(pem) == "string" and pem or nil
end

-- pick answers the first pair of an answer that is whole.
function _M.pick(answer, preferences)
    for _, key in ipairs(preferences or _M.preferences) do
        local found = answer[key]
        local chain, private = text(found, "fullchain"), text(found, "private_key")
        if chain and private then
            return { chain = chain, key = private }
        end
    end
end

-- A name has passed the gate, so nothing in it needs escaping; it is done all the same.
local function escape(name)
    return ngx.escape_uri(name)
end

local function read(name, preferences, status, body)
    if not status then
        return nil, "manager: " .. tostring(body)
    end
    if status == 404 then
        return nil
    end
    if status ~= 200 then
        return nil, "manager: it answered " .. status
    end
    local answer = cjson.decode(body)
    if type(answer) ~= "table" then
        return nil, "manager: its answer is no JSON"
    end
    local pair = _M.pick(answer, preferences)
    return pair and { from = name, pairs = { pair } } or nil
end

-- lookup answers a record, nil for an authoritative miss, or nil and an error.
function _M.lookup(o, name)
    return read(name, o.preferences, http.request(o, "GET", "/domain/" .. escape(name) .. "/config.json?openresty=1", nil, o.timeout))
end

-- order asks for a certificate now, and answers as lookup does.
function _M.order(o, name)
    return read(name, o.preferences, http.request(o, "POST", "/api/domain/autocert.json?openresty=1", "domain_name=" .. escape(name), o.order_timeout))
end

return _M
