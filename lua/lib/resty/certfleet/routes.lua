-- The routes for managers and people: expire, status and metrics.

local cjson = require "cjson.safe"
local counts = require "resty.certfleet.counts"
local sni = require "resty.certfleet.sni"

local _M = {}

-- version is at least 0.5.0, as peter_sslers asks for.
_M.version = "1.0.0"
local SERVER = "peter_sslers:openresty"

local LISTS = { valid = true, invalid = true, autocert = true }

local function answer(status, body)
    body.server, body.server_version = SERVER, _M.version
    ngx.status = status
    ngx.header["content-type"] = "application/json"
    ngx.header["x-peter-sslers"] = _M.version
    -- An empty table is an object to cjson, and these three are lists.
    local text = cjson.encode(body):gsub('"(%l+)":{}', function(k) return LISTS[k] and '"' .. k .. '":[]' or nil end)
    ngx.print(text)
    return ngx.exit(status)
end

_M.answer = answer

local function unknown(reason)
    return answer(404, { result = "error", expired = "None", reason = reason })
end

-- expire answers {location}/all and {location}/domain/NAME, by GET and POST,
-- wherever the location lies.
function _M.expire(fleet)
    local method = ngx.req.get_method()
    if method ~= "GET" and method ~= "POST" then
        return answer(405, { result = "error", expired = "None", reason = "GET or POST" })
    end
    local uri = ngx.var.uri
    local name = uri:match("/domain/([%w*._-]+)$")
    if not name and uri:find("/all$") then
        fleet:expire(nil)
        return answer(200, { result = "success", expired = "all" })
    elseif not name then
        return unknown("Unknown URI")
    end
    local entry = name:lower():gsub("%.$", "")
    if not sni.is_entry(entry) then
        return unknown("no host name")
    end
    fleet:expire(entry)
    return answer(200, { result = "success", expired = "domain", domain = name })
end

-- listed sorts the names of the shared dicts into what peter_sslers shows.
local function listed(o)
    local out = { valid = {}, invalid = {}, autocert = {} }
    local function sort(dict)
        for _, key in ipairs(dict:get_keys(1024)) do
            local kind, name = key:match("^(%a+):(.+)$")
            local list = kind == "p" and out.valid or kind == "m" and out.invalid or kind == "order" and out.autocert
            if list then
                list[#list + 1] = name
            end
        end
    end
    sort(o.dict)
    if o.misses ~= o.dict then
        sort(o.misses)
    end
    return out
end

local function memory(dict)
    return { capacity = dict:capacity(), free = dict:free_space() }
end

-- status answers what is cached and counted.
function _M.status(fleet)
    local o = fleet.o
    return answer(200, {
        result = "success",
        note = "This is a max(1024) listing of keys in the shared dicts of pairs and of misses. This does not show the worker's own LRU cache, or Redis.",
        keys = listed(o),
        config = {
            expiries = { ["ngx.shared.cert_cache"] = o.ttl, ["resty.lrucache"] = o.ttl },
            maxitems = { ["resty.lrucache"] = o.lru_size }, layout = o.layout,
        },
        counts = fleet.counts:read(),
        memory = { pairs = memory(o.dict), misses = memory(o.misses) },
        worker = { id = ngx.worker.id(), parsed = fleet.cache.lru.count and fleet.cache.lru:count() or nil },
    })
end

local function metric(out, name, kind, help, value)
    out[#out + 1] = string.format("# HELP certfleet_edge_%s %s\n# TYPE certfleet_edge_%s %s\ncertfleet_edge_%s %s\n", name, help, name, kind, name, value)
end

-- metrics answers the counters in the text format of Prometheus.
function _M.metrics(fleet)
    local values, out = fleet.counts:read(), {}
    for _, n in ipairs(counts.names) do
        metric(out, n[1] .. "_total", "counter", n[2], string.format("%.0f", values[n[1]]))
    end
    metric(out, "pairs_bytes_free", "gauge", "free whole pages in the shared dict of pairs", fleet.o.dict:free_space())
    metric(out, "pairs_bytes", "gauge", "size of the shared dict of pairs", fleet.o.dict:capacity())
    ngx.header["content-type"] = "text/plain; version=0.0.4"
    ngx.print(table.concat(out))
end

return _M
