-- Listens in Redis for names that changed. One worker does it for all.

local redis = require "resty.certfleet.redis"
local resp = require "resty.certfleet.resp"
local sni = require "resty.certfleet.sni"

local _M = {}

-- A connection whose packets vanish ends by itself only after minutes. So it is
-- asked all the time whether it lives, and given up when nothing came for a while:
-- what was published meanwhile is noticed within two seconds all the same.
local BEAT = 0.4 -- seconds between two questions
local SILENCE = 1000 -- milliseconds without a word
local PAUSE = 1 -- seconds between two tries to connect

local PING = resp.encode({ "PING" })

local function hear(fleet, message)
    if type(message) ~= "table" or message[1] ~= "message" then
        return
    end
    local number, names = tostring(message[3]):match("^(%d+) (.*)$")
    if not number then
        return
    end
    fleet.o.dict:set("heard", number)
    for name in names:gmatch("%S+") do
        if name == "*" then
            fleet:expire(nil)
        elseif sni.is_entry(name) then
            fleet:expire(name)
        end
    end
end

-- fresh connects anew: nothing is ever kept in this pool.
local function fresh(o, read_timeout)
    return redis.connect(setmetatable({ pool = "certfleet-listen", read_timeout = read_timeout }, { __index = o.redis }))
end

local function connect(o)
    local client, err = fresh(o, SILENCE)
    if not client then
        return nil, err
    end
    local replies
    replies, err = client:pipeline({ { "SUBSCRIBE", o.prefix .. "certfleet:changed" } })
    if not replies then
        return nil, err
    end
    if replies[1].error then
        client:close()
        return nil, replies[1].error
    end
    return client
end

-- missed says whether something changed while nobody listened: messages carry a
-- number, and Redis knows the last one. It is asked after the subscription
-- stands, so that nothing falls between the two.
local function missed(o)
    local client, err = fresh(o, o.redis.read_timeout)
    if not client then
        return nil, err
    end
    local replies
    replies, err = client:pipeline({ { "GET", o.prefix .. "certfleet:changes" } })
    if not replies then
        return nil, err
    end
    client:close()
    if replies[1].error then
        return nil, replies[1].error
    end
    local last = type(replies[1]) == "string" and replies[1] or "none"
    local heard = o.dict:get("heard")
    o.dict:set("heard", last)
    return heard ~= nil and heard ~= last
end

local function ask_all_the_time(client)
    repeat
        ngx.sleep(BEAT)
    until ngx.worker.exiting() or not client.sock:send(PING)
end

-- follow reads until the connection breaks or falls silent, or the worker ends. The
-- answers to PING keep the reads from timing out, which nginx would log each time.
local function follow(fleet, client)
    local asking = ngx.thread.spawn(ask_all_the_time, client)
    local message, err
    repeat
        message, err = client:read()
        if message then
            hear(fleet, message)
        end
    until not message or ngx.worker.exiting()
    ngx.thread.kill(asking)
    return err == "timeout" and "silence" or err
end

local function once(fleet, o)
    local client, err = connect(o)
    if not client then
        return err
    end
    local lost
    lost, err = missed(o)
    if lost then
        fleet:expire(nil)
    end
    err = err or follow(fleet, client)
    client:close()
    return err or "it ended", true
end

-- run is the loop of the one worker that listens. Changes that it missed make
-- everything doubtful, for it is not known which they were. After a connection that
-- stood the next is tried at once.
function _M.run(fleet)
    while not ngx.worker.exiting() do
        local began = ngx.now()
        local ok, err, stood = pcall(once, fleet, fleet.o)
        if not ok then
            err = "error: " .. tostring(err)
        end
        if not ngx.worker.exiting() then
            ngx.log(ngx.WARN, "certfleet: listen in Redis: ", err)
            if not stood or ngx.now() - began < PAUSE then
                ngx.sleep(PAUSE)
            end
        end
    end
end

return _M
