-- What changed, so that every worker forgets it. In the shared dict a number
-- grows with each change, and beside it stands, for some minutes, which name it
-- was. A worker compares one number on each handshake.

local _M = {}

local KEEP = 300 -- seconds a change stays readable
local MANY = 1000 -- more changes than this, and a worker doubts everything
local ALL = "*"

_M.all = ALL

-- now answers the number of the last change.
function _M.now(dict)
    local n = dict:get("seq")
    if not n then
        dict:add("seq", 1)
        n = dict:get("seq") or 1
    end
    return n
end

-- note writes down that a name changed, or all of them, and answers its number.
function _M.note(dict, name)
    _M.now(dict)
    local n = dict:incr("seq", 1, 1)
    if n then
        dict:set("x:" .. n, name, KEEP)
    end
    return n
end

-- since calls each with what it is given, the number and the name of every change
-- after seen, and with ALL where it cannot be known. A function that makes another
-- is never compiled by LuaJIT, and what handshakes run through has to be.
function _M.since(dict, seen, now, each, what)
    if now < seen or now - seen > MANY then
        return each(what, now, ALL)
    end
    for n = seen + 1, now do
        local name = dict:get("x:" .. n)
        each(what, n, name or ALL)
        if not name or name == ALL then
            return each(what, now, ALL)
        end
    end
end

local function compare(what, _, name)
    if name == ALL or name == what.a or name == what.b then
        what.found = true
    end
end

-- touched says whether one of two names changed after seen.
function _M.touched(dict, seen, a, b)
    local what = { a = a, b = b, found = false }
    _M.since(dict, seen, _M.now(dict), compare, what)
    return what.found
end

-- RECENT changes are looked through for one name when a shared record is read:
-- whoever wrote it may have read its source just before the change.
local RECENT = 100

-- recently says whether a name is among the last changes after seen.
function _M.recently(dict, seen, now, name)
    for n = math.max(seen + 1, now - RECENT), now do
        local changed = dict:get("x:" .. n)
        if changed == name then
            return true
        end
    end
    return false
end

return _M
