-- The options of certfleet.setup, their defaults, and their checks. A mistake is
-- an error at start, not at the first handshake.

local manager = require "resty.certfleet.manager"
local seal = require "resty.certfleet.seal"
local url = require "resty.certfleet.url"

local _M = {}

_M.defaults = {
    -- Where names are looked up.
    redis = "redis://127.0.0.1:6379/9", -- or false
    redis_password_file = nil, -- wins over a password in the URL
    redis_server_name = nil, -- the name in its certificate, where the URL has an address
    redis_connect_timeout = 200, redis_read_timeout = 500, -- milliseconds
    redis_pool = 100, -- connections a worker keeps
    ssl_verify = true, -- of Redis and manager, against lua_ssl_trusted_certificate
    layout = 3, -- 1 and 2 are peter_sslers'
    prefix = "", -- of keys in Redis
    seal_key = nil, -- a file, or a list of files, that opens sealed keys
    subscribe = true, -- listen in Redis for what changed
    connector = nil, -- function() -> a client with :pipeline and :keepalive, in place of ours
    manager = nil, -- URL of the manager with its prefix, for names that Redis does not have
    manager_token_file = nil, -- a bearer token
    manager_timeout = 2000, -- milliseconds for an answer
    preferences = manager.preferences,

    -- Names that nobody has yet.
    on_demand = false, -- ask the manager to order; needs allow
    allow = nil, -- function(name) -> true to let a name be ordered
    on_demand_wait = 0, -- seconds a handshake waits for the order; 0 answers with the default
    on_demand_timeout = 60, -- seconds the order may take

    -- How long things are kept, in seconds.
    ttl = 600, -- a pair, before it is looked up again; refreshed in the background from 70 % on
    miss_ttl = 600, -- a name that nobody has
    error_ttl = 3, -- a lookup that went wrong
    stale_ttl = 86400, -- a pair that may be served when lookups go wrong, while it is valid
    wait = 2, -- a handshake waits for another's lookup of the same name

    -- Memory.
    dict = "certfleet", -- lua_shared_dict of pairs
    misses = "certfleet_misses", -- lua_shared_dict of names without a pair
    lru_size = 10000, -- parsed pairs in a worker, 8 kB each; best as many as names are in use
    slow_keys = 50, -- keys a second that OpenSSL's decoders read when lru_size is reached; more are read in brief

    -- What is served.
    rsa_beside = false, -- set an RSA pair beside the ECDSA pair, where there is one
    on_unknown = "default", -- or "reject": end the handshake
}

local function fail(text)
    error("certfleet: " .. text, 0)
end

local function read_secret(path)
    local file, err = io.open(path, "r")
    if not file then
        fail("secret: " .. tostring(err))
    end
    local s = file:read("*a"):gsub("%s+$", "")
    file:close()
    return s
end

local function redis_of(o)
    local r, err = url.redis(o.redis)
    if not r then
        fail(err)
    end
    r.connect_timeout, r.read_timeout = o.redis_connect_timeout, o.redis_read_timeout
    r.server_name = o.redis_server_name
    r.ssl_verify, r.pool_size = o.ssl_verify, o.redis_pool
    r.password = o.redis_password_file and read_secret(o.redis_password_file) or r.password
    return r
end

local function manager_of(o)
    local m, err = url.http(o.manager)
    if not m then
        fail(err)
    end
    m.timeout, m.order_timeout = o.manager_timeout, o.on_demand_timeout * 1000
    m.ssl_verify, m.preferences = o.ssl_verify, o.preferences
    if o.manager_token_file then
        m.authorization = "Bearer " .. read_secret(o.manager_token_file)
    elseif m.user then
        m.authorization = "Basic " .. ngx.encode_base64(m.user .. ":" .. (m.password or ""))
    end
    return m
end

local function dict_of(value, what)
    local dict = type(value) == "string" and ngx.shared[value] or value
    if type(dict) ~= "table" and type(dict) ~= "userdata" then
        fail("add lua_shared_dict " .. tostring(value) .. " to the http block, for " .. what)
    end
    return dict
end

local function check(o)
    if o.layout ~= 1 and o.layout ~= 2 and o.layout ~= 3 then
        fail("layout is 1, 2 or 3")
    end
    if o.on_unknown ~= "default" and o.on_unknown ~= "reject" then
        fail('on_unknown is "default" or "reject"')
    end
    if o.on_demand and not (o.manager and type(o.allow) == "function") then
        fail("on_demand needs manager, and allow, a function that says which names may be ordered")
    end
    for _, k in ipairs({ "ttl", "miss_ttl", "error_ttl", "stale_ttl", "wait", "lru_size" }) do
        if type(o[k]) ~= "number" or o[k] <= 0 then
            fail(k .. " is a number above zero")
        end
    end
end

-- read answers the settled options, or raises what is wrong with them.
function _M.read(given)
    local o = {}
    for k, v in pairs(_M.defaults) do
        o[k] = v
    end
    for k, v in pairs(given or {}) do
        if _M.defaults[k] == nil and not _M.optional[k] then
            fail("option " .. tostring(k) .. " is not known")
        end
        o[k] = v
    end
    check(o)
    o.dict, o.misses = dict_of(o.dict, "pairs"), dict_of(o.misses, "names without one")
    o.redis = o.redis and redis_of(o)
    o.manager = o.manager and manager_of(o)
    if o.seal_key then
        local ring, err = seal.read(o.seal_key)
        if not ring then
            fail(err)
        end
        o.ring = ring
    end
    return o
end

-- optional are the options whose default is nothing.
_M.optional = {
    redis_password_file = true, redis_server_name = true, seal_key = true, connector = true, manager = true,
    manager_token_file = true, allow = true, order_first = true,
}

return _M
