-- Parses pairs and looks into them with the OpenSSL that nginx is linked with.

local ffi = require "ffi"
local ssl = require "ngx.ssl"

local _M = {}

-- Opaque pointers alone, so that another module's declarations never disagree
-- with ours.
pcall(ffi.cdef, "int OPENSSL_sk_num(void *);")
pcall(ffi.cdef, "void *OPENSSL_sk_value(void *, int);")
pcall(ffi.cdef, "int X509_check_private_key(void *, void *);")
pcall(ffi.cdef, "void *X509_get0_notAfter(void *);")
pcall(ffi.cdef, "int ASN1_TIME_diff(int *, int *, void *, void *);")
pcall(ffi.cdef, "void ERR_clear_error(void);")

local C = ffi.C
local days, seconds = ffi.new("int[1]"), ffi.new("int[1]")

local function leaf(chain)
    local stack = ffi.cast("void *", chain)
    if C.OPENSSL_sk_num(stack) < 1 then
        return nil
    end
    return C.OPENSSL_sk_value(stack, 0)
end

-- parse_chain answers the parsed chain and when its leaf ends, in Unix seconds.
function _M.parse_chain(pem)
    local chain, err = ssl.parse_pem_cert(pem)
    if not chain then
        return nil, "certificate: " .. tostring(err)
    end
    local first = leaf(chain)
    if first == nil or C.ASN1_TIME_diff(days, seconds, nil, C.X509_get0_notAfter(first)) ~= 1 then
        return nil, "certificate: no end"
    end
    return chain, ngx.time() + days[0] * 86400 + seconds[0]
end

-- parse_key answers the parsed key.
function _M.parse_key(pem)
    local key, err = ssl.parse_pem_priv_key(pem)
    if not key then
        return nil, "key: " .. tostring(err)
    end
    return key
end

-- fits says whether the key is the leaf's. nginx would notice only after the
-- default certificate is gone.
function _M.fits(chain, key)
    local ok = C.X509_check_private_key(leaf(chain), ffi.cast("void *", key)) == 1
    if not ok then
        C.ERR_clear_error()
    end
    return ok
end

return _M
