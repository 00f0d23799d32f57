-- ssl_certhandler, the oldest name of the module, as a thin shim: the shared
-- dict is an argument of its functions.

local peter = require "resty.peter_sslers"
local routes = require "resty.certfleet.routes"

local _M = { _VERSION = routes.version }

local instances = {}

local function instance(cert_cache, duration, prime_version, fallback_server)
    local id = table.concat({ tostring(cert_cache), tostring(duration), tostring(prime_version), tostring(fallback_server) }, " ")
    local f = instances[id]
    if not f then
        f = peter.new(cert_cache, {
            ttl = duration, miss_ttl = duration, layout = prime_version,
            redis = prime_version and "redis://127.0.0.1:6379/9" or false, manager = fallback_server,
        })
        instances[id] = f
    end
    return f
end

-- set_ssl_certificate serves a handshake: dict, seconds, 1 or 2, manager's URL.
function _M.set_ssl_certificate(cert_cache, cert_cache_duration, prime_version, fallback_server)
    local ok, err = pcall(function()
        instance(cert_cache, cert_cache_duration, prime_version, fallback_server):serve()
    end)
    if not ok then
        ngx.log(ngx.ERR, "ssl_certhandler: ", err)
    end
end

-- expire_ssl_certs answers {location}/all and {location}/domain/NAME.
function _M.expire_ssl_certs(cert_cache)
    return routes.expire(instance(cert_cache, nil, nil, nil))
end

return _M
