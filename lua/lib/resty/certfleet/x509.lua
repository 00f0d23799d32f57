-- Parses pairs and looks into them with the OpenSSL that nginx is linked with.

local ffi = require "ffi"
local lrucache = require "resty.lrucache"
local ssl = require "ngx.ssl"

local _M = {}

-- Opaque pointers alone, so that another module's declarations never disagree
-- with ours.
pcall(ffi.cdef, "int OPENSSL_sk_num(void *);")
pcall(ffi.cdef, "void *OPENSSL_sk_value(void *, int);")
pcall(ffi.cdef, "int OPENSSL_sk_push(void *, void *);")
pcall(ffi.cdef, "int X509_up_ref(void *);")
pcall(ffi.cdef, "int X509_check_private_key(void *, void *);")
pcall(ffi.cdef, "int X509_set_pubkey(void *, void *);")
pcall(ffi.cdef, "void *X509_get0_notAfter(void *);")
pcall(ffi.cdef, "int ASN1_TIME_diff(int *, int *, void *, void *);")
pcall(ffi.cdef, "void *EVP_sha256(void);")
pcall(ffi.cdef, "int X509_digest(void *, void *, unsigned char *, unsigned int *);")
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

-- issuers are parsed chains without their leaf. Thousands of names have the same
-- few; parsed once, they take less memory, and a handshake finds them in the
-- processor's cache.
local issuers = lrucache.new(200)

local function issuers_of(pem)
    local parsed, err = issuers:get(pem), nil
    if not parsed then
        parsed, err = ssl.parse_pem_cert(pem)
        if parsed then
            issuers:set(pem, parsed)
        end
    end
    return parsed, err
end

-- append puts another chain's certificates behind a chain's.
local function append(chain, more)
    local to, from = ffi.cast("void *", chain), ffi.cast("void *", more)
    for i = 0, C.OPENSSL_sk_num(from) - 1 do
        local x = C.OPENSSL_sk_value(from, i)
        C.X509_up_ref(x)
        if C.OPENSSL_sk_push(to, x) == 0 then
            return nil, "out of memory"
        end
    end
    return chain
end

local END = "-----END CERTIFICATE-----"

local function parse(pem)
    local _, stop = string.find(pem, END, 1, true)
    local above = stop and string.find(pem, "-----BEGIN", stop, true)
    if not above then
        return ssl.parse_pem_cert(pem)
    end
    local chain, more, err
    chain, err = ssl.parse_pem_cert(string.sub(pem, 1, stop))
    if chain then
        more, err = issuers_of(string.sub(pem, above))
    end
    if not more then
        return nil, err
    end
    return append(chain, more)
end

-- parse_chain answers the parsed chain and when its leaf ends, in Unix seconds.
function _M.parse_chain(pem)
    local chain, err = parse(pem)
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

local digest, size = ffi.new("unsigned char[64]"), ffi.new("unsigned int[1]")

local function fingerprint(chain)
    if C.X509_digest(leaf(chain), C.EVP_sha256(), digest, size) == 1 then
        return ffi.string(digest, size[0])
    end
end

-- join makes the key that fits a chain the public key of its leaf too. OpenSSL
-- compares the two each time a pair is set on a connection, and has nothing to
-- compare when they are one. Where that changed a byte of the certificate, the
-- chain is parsed anew and stays as it was issued.
function _M.join(chain, key, pem)
    local before = fingerprint(chain)
    if C.X509_set_pubkey(leaf(chain), ffi.cast("void *", key)) == 1 and fingerprint(chain) == before then
        return chain
    end
    C.ERR_clear_error()
    return (parse(pem))
end

return _M
