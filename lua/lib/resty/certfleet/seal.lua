-- Opens private keys that were sealed with AES-256-GCM under a key file.

local ffi = require "ffi"

local _M = {}

pcall(ffi.cdef, "void *EVP_CIPHER_CTX_new(void);")
pcall(ffi.cdef, "void EVP_CIPHER_CTX_free(void *);")
pcall(ffi.cdef, "void *EVP_aes_256_gcm(void);")
pcall(ffi.cdef, "int EVP_CIPHER_CTX_ctrl(void *, int, int, void *);")
pcall(ffi.cdef, "int EVP_DecryptInit_ex(void *, void *, void *, const char *, const char *);")
pcall(ffi.cdef, "int EVP_DecryptUpdate(void *, char *, int *, const char *, int);")
pcall(ffi.cdef, "int EVP_DecryptFinal_ex(void *, char *, int *);")
pcall(ffi.cdef, "void *EVP_sha256(void);")
pcall(ffi.cdef, "int EVP_Digest(const char *, size_t, char *, unsigned int *, void *, void *);")

local C = ffi.C
local MARK, NONCE, TAG = "sealed:v1:", 12, 16
local SET_TAG = 0x11 -- EVP_CTRL_AEAD_SET_TAG

local function sha256(s)
    local out = ffi.new("char[32]")
    if C.EVP_Digest(s, #s, out, nil, C.EVP_sha256(), nil) ~= 1 then
        return nil
    end
    return ffi.string(out, 32)
end

local function hex(s)
    return (s:gsub(".", function(c) return string.format("%02x", c:byte()) end))
end

local function from_hex(s)
    return (s:gsub("%x%x", function(h) return string.char(tonumber(h, 16)) end))
end

-- key_of reads 32 bytes as they are, as hex or as base64.
local function key_of(raw)
    if #raw == 32 then
        return raw
    end
    local text = raw:gsub("%s+", "")
    if #text == 64 and not text:find("%X") then
        return from_hex(text)
    end
    local plain = ngx.decode_base64(text)
    return plain and #plain == 32 and plain or nil
end

-- read answers a ring of sealing keys by their ids, from files. It is called
-- while nginx is still root, in init.
function _M.read(files)
    local ring = {}
    for _, path in ipairs(type(files) == "table" and files or { files }) do
        local file, err = io.open(path, "rb")
        if not file then
            return nil, "sealing key: " .. tostring(err)
        end
        local key = key_of(file:read("*a") or "")
        file:close()
        if not key then
            return nil, "sealing key: " .. path .. " does not hold 32 bytes"
        end
        ring[hex(sha256(key):sub(1, 8))] = key
    end
    return ring
end

local function decrypt(ctx, key, nonce, aad, body, tag)
    local out, n = ffi.new("char[?]", #body + 16), ffi.new("int[1]")
    local tagp = ffi.new("char[16]", tag)
    if C.EVP_DecryptInit_ex(ctx, C.EVP_aes_256_gcm(), nil, key, nonce) ~= 1
        or C.EVP_DecryptUpdate(ctx, nil, n, aad, #aad) ~= 1
        or C.EVP_DecryptUpdate(ctx, out, n, body, #body) ~= 1 then
        return nil
    end
    local length = n[0]
    if C.EVP_CIPHER_CTX_ctrl(ctx, SET_TAG, TAG, tagp) ~= 1 or C.EVP_DecryptFinal_ex(ctx, out + length, n) ~= 1 then
        return nil
    end
    return ffi.string(out, length + n[0])
end

-- open answers the key in clear; a value that is not sealed as it is.
function _M.open(ring, key_id, value)
    if value:sub(1, #MARK) ~= MARK then
        return value
    end
    local id, body = value:match("^sealed:v1:(%x+):(.+)$")
    local key = id and ring and ring[id]
    if not key then
        return nil, "key " .. tostring(key_id) .. " is sealed under " .. tostring(id) .. ", which is not here"
    end
    local raw = ngx.decode_base64(body)
    if not raw or #raw < NONCE + TAG then
        return nil, "key " .. tostring(key_id) .. " is damaged"
    end
    local ctx = ffi.gc(C.EVP_CIPHER_CTX_new(), C.EVP_CIPHER_CTX_free)
    local plain = decrypt(ctx, key, raw:sub(1, NONCE), "certfleet:key:" .. tostring(key_id), raw:sub(NONCE + 1, -TAG - 1), raw:sub(-TAG))
    if not plain then
        return nil, "key " .. tostring(key_id) .. " does not open"
    end
    return plain
end

return _M
