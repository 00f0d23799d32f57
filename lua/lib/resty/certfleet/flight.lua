-- One lookup at a time for a name: within a worker by a semaphore, between
-- workers by a key in a shared dict. Everybody else waits, for a bounded time.

local semaphore = require "ngx.semaphore"

local _M = {}
local Flight = {}
Flight.__index = Flight

-- new: dict holds the locks between workers; wait is how long others wait, hold
-- how long a lookup may take before another begins, both in seconds.
function _M.new(dict, wait, hold)
    return setmetatable({ dict = dict, wait = wait, hold = hold, going = {}, begun = 0 }, Flight)
end

-- MANY lookups begin, and those that nginx ended in the middle are looked for: nobody
-- else takes them off the table, and each name that a stranger asks for may be one.
local MANY = 1000

function Flight:clear()
    self.begun = self.begun + 1
    if self.begun < MANY then
        return
    end
    self.begun = 0
    local now = ngx.now()
    for name, f in pairs(self.going) do
        if now >= f.over then
            self.going[name] = nil
        end
    end
end

-- lock answers true when nobody in any worker looks this name up. It ends by
-- itself, should the worker die.
function Flight:lock(name)
    local ok, err = self.dict:safe_add("lock:" .. name, 1, self.hold)
    return ok or err ~= "exists" -- without memory for locks, rather twice than never
end

function Flight:unlock(name)
    self.dict:delete("lock:" .. name)
end

-- across waits for another worker's lookup, looking again and again whether it
-- brought something, then takes over.
function Flight:across(name, who)
    local deadline, pause = ngx.now() + self.wait, 0.002
    while not self:lock(name) do
        if ngx.now() >= deadline then
            return nil, "waited too long"
        end
        ngx.sleep(pause)
        pause = math.min(pause * 1.5, 0.05)
        local value, outcome = who:peek(name)
        if outcome then
            return value, outcome
        end
    end
    local value, outcome = who:peek(name) -- it may have been brought just before
    if not outcome then
        local ok
        ok, value, outcome = pcall(who.look_up, who, name)
        if not ok then
            ngx.log(ngx.ERR, "certfleet: ", name, ": ", value)
            value, outcome = nil, "error"
        end
    end
    self:unlock(name)
    return value, outcome
end

-- run answers what who:look_up(name) answers, whoever in this worker does it.
-- who:peek(name) answers a value and an outcome when another worker has brought it.
-- nginx ends a lookup in the middle when its handshake has taken too long, and what
-- stands behind it never runs: so nobody waits for one that should have been over.
function Flight:run(name, who)
    local f = self.going[name]
    if f and ngx.now() < f.over then
        f.waiting = f.waiting + 1
        if not f.done:wait(self.wait) then
            return nil, "waited too long", true
        end
        return f.value, f.outcome, true
    end
    self:clear()
    f = { done = semaphore.new(), waiting = 0, over = ngx.now() + self.wait + self.hold }
    self.going[name] = f
    f.value, f.outcome = self:across(name, who)
    if self.going[name] == f then
        self.going[name] = nil
    end
    if f.waiting > 0 then
        f.done:post(f.waiting)
    end
    return f.value, f.outcome
end

return _M
