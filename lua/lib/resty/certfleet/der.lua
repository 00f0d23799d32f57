-- Makes keys and leaf certificates from PEM without the decoders of OpenSSL 3,
-- which look through all that could be in it: a third of a millisecond for a key,
-- a tenth for a certificate's public key. What is not known here is answered with
-- nil, and the caller takes the long way; with an older OpenSSL that is always so.

local ffi = require "ffi"

local _M = {}

-- Names of our own for OpenSSL's functions, so that another module's
-- declarations never disagree with ours.
local declared = pcall(ffi.cdef, [[
void *certfleet_bio(const char *, int) __asm__("BIO_new_mem_buf");
int certfleet_bio_free(void *) __asm__("BIO_free");
int certfleet_pem(void *, char **, char **, unsigned char **, long *) __asm__("PEM_read_bio");
void certfleet_free(void *, const char *, int) __asm__("CRYPTO_free");
void *certfleet_libctx() __asm__("OSSL_LIB_CTX_new");
void *certfleet_provider(void *, const char *) __asm__("OSSL_PROVIDER_load");
void *certfleet_x509_new(void *, const char *) __asm__("X509_new_ex");
void *certfleet_x509(void **, const unsigned char **, long) __asm__("d2i_X509");
int certfleet_x509_out(void *, unsigned char **) __asm__("i2d_X509");
void certfleet_x509_free(void *) __asm__("X509_free");
int certfleet_x509_set_pubkey(void *, void *) __asm__("X509_set_pubkey");
void *certfleet_x509_pubkey(void *) __asm__("X509_get_X509_PUBKEY");
uint32_t certfleet_x509_flags(void *) __asm__("X509_get_extension_flags");
int certfleet_pubkey_out(void *, unsigned char **) __asm__("i2d_X509_PUBKEY");
void *certfleet_pkcs8(void **, const unsigned char **, long) __asm__("d2i_PKCS8_PRIV_KEY_INFO");
void certfleet_pkcs8_free(void *) __asm__("PKCS8_PRIV_KEY_INFO_free");
int certfleet_pkcs8_parts(void **, const unsigned char **, int *, void **, void *) __asm__("PKCS8_pkey_get0");
void certfleet_algorithm(void **, int *, void **, void *) __asm__("X509_ALGOR_get0");
int certfleet_nid(void *) __asm__("OBJ_obj2nid");
void *certfleet_curve(int) __asm__("EC_KEY_new_by_curve_name");
void certfleet_ec_free(void *) __asm__("EC_KEY_free");
void *certfleet_ec(void **, const unsigned char **, long) __asm__("d2i_ECPrivateKey");
void certfleet_rsa_free(void *) __asm__("RSA_free");
void *certfleet_rsa(void **, const unsigned char **, long) __asm__("d2i_RSAPrivateKey");
void *certfleet_pkey_new() __asm__("EVP_PKEY_new");
void certfleet_pkey_free(void *) __asm__("EVP_PKEY_free");
int certfleet_pkey_assign(void *, int, void *) __asm__("EVP_PKEY_assign");
void certfleet_clear() __asm__("ERR_clear_error");
int certfleet_compare(const void *, const void *, size_t) __asm__("memcmp");
]])

local C = ffi.C
local RSA, EC, OBJECT = 6, 408, 6 -- NID_rsaEncryption, NID_X9_62_id_ecPublicKey, V_ASN1_OBJECT
local LONGEST = 16384 -- bytes of a certificate that is looked at here

local name, header, data, size = ffi.new("char *[1]"), ffi.new("char *[1]"), ffi.new("unsigned char *[1]"), ffi.new("long[1]")
local at, object, bytes, count = ffi.new("const unsigned char *[1]"), ffi.new("void *[1]"), ffi.new("const unsigned char *[1]"), ffi.new("int[1]")
local algorithm, kind, value, slot = ffi.new("void *[1]"), ffi.new("int[1]"), ffi.new("void *[1]"), ffi.new("void *[1]")
local before, after = ffi.new("unsigned char[?]", LONGEST), ffi.new("unsigned char[?]", LONGEST)
local out = ffi.new("unsigned char *[1]")

local function free(p)
    if p ~= nil then
        C.certfleet_free(p, "certfleet", 0)
    end
end

-- with_block calls read with the label and the length of the first PEM block,
-- whose bytes are in data meanwhile.
local function with_block(pem, read, what)
    local bio = C.certfleet_bio(pem, #pem)
    if bio == nil then
        return nil
    end
    name[0], header[0], data[0] = nil, nil, nil
    local result
    if C.certfleet_pem(bio, name, header, data, size) == 1 and header[0][0] == 0 then
        result = read(ffi.string(name[0]), tonumber(size[0]), what)
    end
    free(name[0])
    free(header[0])
    free(data[0])
    C.certfleet_bio_free(bio)
    if not result then
        C.certfleet_clear()
    end
    return result
end

-- own makes a key of what was read, and the owner of it.
local function own(id, key, drop)
    if key == nil then
        return nil
    end
    local pkey = C.certfleet_pkey_new()
    if pkey == nil or C.certfleet_pkey_assign(pkey, id, key) ~= 1 then
        drop(key)
        C.certfleet_pkey_free(pkey)
        return nil
    end
    return ffi.gc(pkey, C.certfleet_pkey_free)
end

local function rsa(from, length)
    at[0] = from
    return own(RSA, C.certfleet_rsa(nil, at, length), C.certfleet_rsa_free)
end

-- ec reads the key of RFC 5915; the curve is in it, or stands around it.
local function ec(from, length, curve)
    at[0], slot[0] = from, nil
    if curve then
        slot[0] = C.certfleet_curve(curve)
        if slot[0] == nil then
            return nil
        end
    end
    local around = slot[0]
    local key = C.certfleet_ec(slot, at, length)
    if key == nil and around ~= nil then
        C.certfleet_ec_free(around)
    end
    return own(EC, key, C.certfleet_ec_free)
end

-- inside reads the key in the wrapping of RFC 5958.
local function inside(pkcs8)
    if C.certfleet_pkcs8_parts(object, bytes, count, algorithm, pkcs8) ~= 1 then
        return nil
    end
    local id = C.certfleet_nid(object[0])
    if id == RSA then
        return rsa(bytes[0], count[0])
    end
    C.certfleet_algorithm(nil, kind, value, algorithm[0])
    if id == EC and kind[0] == OBJECT then
        return ec(bytes[0], count[0], C.certfleet_nid(value[0]))
    end
end

local function private(label, length)
    if label == "EC PRIVATE KEY" then
        return ec(data[0], length)
    elseif label == "RSA PRIVATE KEY" then
        return rsa(data[0], length)
    elseif label ~= "PRIVATE KEY" then
        return nil
    end
    at[0] = data[0]
    local pkcs8 = C.certfleet_pkcs8(nil, at, length)
    if pkcs8 == nil then
        return nil
    end
    local key = inside(pkcs8)
    C.certfleet_pkcs8_free(pkcs8)
    return key
end

-- nowhere is a library context that has no algorithms: what is read in it leaves
-- its public key undecoded.
local nowhere

local function without_algorithms()
    if nowhere == nil then
        nowhere = false
        local context = C.certfleet_libctx()
        if context ~= nil and C.certfleet_provider(context, "null") ~= nil then
            nowhere = context
        end
    end
    return nowhere
end

-- written puts a certificate's public key into a buffer and answers its length.
local function written(x, into)
    local pubkey = C.certfleet_x509_pubkey(x)
    local length = C.certfleet_pubkey_out(pubkey, nil)
    if length < 1 or length > LONGEST then
        return 0
    end
    out[0] = into
    return C.certfleet_pubkey_out(pubkey, out)
end

-- joined gives the certificate the key as its public key. It answers false where
-- that is another one, or is written another way: then a byte would change.
local function joined(x, key, length)
    local n = written(x, before)
    if n < 1 or C.certfleet_x509_set_pubkey(x, key) ~= 1 or written(x, after) ~= n
        or C.certfleet_compare(before, after, n) ~= 0 then
        return false
    end
    if C.certfleet_x509_out(x, nil) ~= length then
        return false
    end
    out[0] = after
    C.certfleet_x509_out(x, out)
    return C.certfleet_compare(data[0], after, length) == 0
end

local function certificate(label, length, key)
    local context = without_algorithms()
    if label ~= "CERTIFICATE" or length > LONGEST or not context then
        return nil
    end
    slot[0], at[0] = C.certfleet_x509_new(context, nil), data[0]
    local x = C.certfleet_x509(slot, at, length)
    if x == nil then
        C.certfleet_x509_free(slot[0]) -- none, when it went with what was half read
        return nil
    end
    if not joined(x, key, length) then
        C.certfleet_x509_free(x)
        return nil
    end
    -- Its extensions are looked through here, not in a handshake: no digest of it
    -- can be had in its context, and OpenSSL leaves a note of that behind.
    C.certfleet_x509_flags(x)
    C.certfleet_clear()
    return x
end

-- whether everything above is in the OpenSSL that nginx is linked with.
local able = declared and pcall(function()
    return C.certfleet_x509_new, C.certfleet_libctx, C.certfleet_provider, C.certfleet_ec, C.certfleet_rsa, C.certfleet_pkcs8_parts
end)

-- key answers a private key, RSA or of a named curve, or nil.
function _M.key(pem)
    return able and with_block(pem, private) or nil
end

-- leaf answers the first certificate, with the key that fits it as its public key
-- too; nil where it does not fit byte by byte. Who calls must free it.
function _M.leaf(pem, key)
    return able and with_block(pem, certificate, key) or nil
end

return _M
