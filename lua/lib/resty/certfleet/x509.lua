-- Parses pairs and looks into them with the OpenSSL that nginx is linked with.

local der = require "resty.certfleet.der"
local ffi = require "ffi"
local lrucache = require "resty.lrucache"
local ssl = require "ngx.ssl"

local _M = {}

-- Opaque pointers alone, so that another module's declarations never disagree
-- with ours.
pcall(ffi.cdef, "int OPENSSL_sk_num(void *);")
pcall(ffi.cdef, "void *OPENSSL_sk_value(void *, int);")
pcall(ffi.cdef, "int OPENSSL_sk_push(void *, void *);")
pcall(ffi.cdef, "void *certfleet_stack() __asm__(\"OPENSSL_sk_new_null\");")
pcall(ffi.cdef, "void certfleet_stack_free(void *, void (*)(void *)) __asm__(\"OPENSSL_sk_pop_free\");")
pcall(ffi.cdef, "void certfleet_one_free(void *) __asm__(\"X509_free\");")
pcall(ffi.cdef, "int X509_up_ref(void *);")
pcall(ffi.cdef, "int X509_check_private_key(void *, void *);")
pcall(ffi.cdef, "int X509_set_pubkey(void *, void *);")
pcall(ffi.cdef, "void *X509_get0_notAfter(void *);")
pcall(ffi.cdef, "int ASN1_TIME_diff(int *, int *, void *, void *);")
pcall(ffi.cdef, "void *EVP_sha256(void);")
pcall(ffi.cdef, "int X509_digest(void *, void *, unsigned char *, unsigned int *);")
pcall(ffi.cdef, "void ERR_clear_error(void);")

local C = ffi.C
local free_one = ffi.cast("void (*)(void *)", C.certfleet_one_free)

local function free_stack(chain)
    C.certfleet_stack_free(chain, free_one)
end

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

-- split answers a chain's leaf, and what stands above it; nil when nothing does.
local function split(pem)
    local _, stop = string.find(pem, END, 1, true)
    local above = stop and string.find(pem, "-----BEGIN", stop, true)
    if not above then
        return pem, nil
    end
    return string.sub(pem, 1, stop), string.sub(pem, above)
end

local function parse(pem)
    local first, rest = split(pem)
    local chain, err = ssl.parse_pem_cert(first)
    if not chain or not rest then
        return chain, err
    end
    local more
    more, err = issuers_of(rest)
    if not more then
        return nil, err
    end
    return append(chain, more)
end

-- parse_shortly answers the chain with the key as its leaf's public key, or nil
-- where that takes the long way.
local function parse_shortly(pem, key)
    local first, rest = split(pem)
    local x = der.leaf(first, key)
    if not x then
        return nil
    end
    local chain = ffi.gc(C.certfleet_stack(), free_stack)
    if C.OPENSSL_sk_push(chain, x) == 0 then
        C.certfleet_one_free(x)
        return nil
    end
    if not rest then
        return chain
    end
    local more = issuers_of(rest)
    return more and append(chain, more)
end

local function ending(chain)
    local first = leaf(chain)
    if first == nil or C.ASN1_TIME_diff(days, seconds, nil, C.X509_get0_notAfter(first)) ~= 1 then
        return nil
    end
    return ngx.time() + days[0] * 86400 + seconds[0]
end

-- parse_chain answers the parsed chain and when its leaf ends, in Unix seconds.
function _M.parse_chain(pem)
    local chain, err = parse(pem)
    if not chain then
        return nil, "certificate: " .. tostring(err)
    end
    local not_after = ending(chain)
    if not not_after then
        return nil, "certificate: no end"
    end
    return chain, not_after
end

-- parse_key answers the parsed key, and whether it was read in brief, which takes a
-- tenth of the time. Such a key takes 2 kB more as soon as it has signed, and signs
-- a little slower where there are thousands.
function _M.parse_key(pem, brief)
    local short = brief and der.key(pem)
    if short then
        return short, nil, true
    end
    local key, err = ssl.parse_pem_priv_key(pem)
    if not key then
        return nil, "key: " .. tostring(err)
    end
    return key
end

-- fits says whether the key is the leaf's. nginx would notice only after the
-- default certificate is gone.
local function fits(chain, key)
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
local function join(chain, key, pem)
    local before = fingerprint(chain)
    if C.X509_set_pubkey(leaf(chain), ffi.cast("void *", key)) == 1 and fingerprint(chain) == before then
        return chain
    end
    C.ERR_clear_error()
    return (parse(pem))
end

local function parse_at_length(pem, key)
    local chain, not_after = _M.parse_chain(pem)
    if not chain then
        return nil, not_after
    end
    if not fits(chain, key) then
        return nil, "key and certificate do not fit"
    end
    chain = join(chain, key, pem)
    if not chain then
        return nil, "certificate: it cannot be parsed twice"
    end
    return chain, not_after
end

-- pair answers the parsed chain that a parsed key fits, when its leaf ends, in
-- Unix seconds, and whether that took the long way.
function _M.pair(pem, key)
    local chain = parse_shortly(pem, key)
    local not_after = chain and ending(chain)
    if not_after then
        return chain, not_after
    end
    chain, not_after = parse_at_length(pem, key)
    return chain, not_after, true
end

return _M
