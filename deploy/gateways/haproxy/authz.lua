-- Asks the PDP about a request: 200 sets the identity headers, 404 is left to haproxy.cfg (one page
-- for the PDP's and the application's), every other answer goes to the client as it is.

local PDP = "http://127.0.0.1:7373/authz/forward"
-- Milliseconds for one try; HAProxy 2.6 makes up to four of them.
local TIMEOUT = 500
-- What the PDP judges by, beside the question. Every field line counts: two credentials are a 400.
local HANDED_ON = {
    "authorization", "x-api-key", "cookie", "accept", "origin", "referer", "user-agent",
    "sec-fetch-mode", "access-control-request-method",
}
local IDENTITY = { ["x-auth-subject"] = "X-Auth-Subject", ["x-auth-roles"] = "X-Auth-Roles" }
-- What of a refusal is HAProxy's own business.
local HOP_BY_HOP = {
    ["connection"] = true, ["keep-alive"] = true, ["transfer-encoding"] = true,
    ["content-length"] = true, ["date"] = true,
}

-- The field lines of a header; HAProxy counts them from 0.
local function lines(found)
    local values = {}
    local at = 0
    while found and found[at] do
        values[#values + 1] = found[at]
        at = at + 1
    end
    return values
end

local function question(txn)
    local sent = txn.http:req_get_headers()
    local headers = {
        ["X-Forwarded-Method"] = { txn.sf:method() },
        ["X-Forwarded-Uri"] = { txn.sf:pathq() },
        ["X-Forwarded-Host"] = lines(sent["host"]),
        ["X-Forwarded-For"] = { txn.sf:src() },
        ["X-Forwarded-Proto"] = { txn.sf:ssl_fc() == 1 and "https" or "http" },
    }
    for _, name in ipairs(HANDED_ON) do
        local values = lines(sent[name])
        if #values > 0 then headers[name] = values end
    end
    return headers
end

local function allow(txn, answer)
    for name, field in pairs(IDENTITY) do
        local value = answer.headers[name]
        txn.http:req_set_header(field, value and value[0] or "")
    end
end

local function refuse(txn, answer)
    local reply = txn:reply()
    reply:set_status(answer.status)
    for name, values in pairs(answer.headers) do
        if not HOP_BY_HOP[name] then
            for _, value in ipairs(lines(values)) do reply:add_header(name, value) end
        end
    end
    reply:set_body(answer.body or "")
    txn:done(reply)
end

core.register_action("authz", { "http-req" }, function(txn)
    local answer = core.httpclient():get({ url = PDP, headers = question(txn), timeout = TIMEOUT })
    if not answer or not answer.status or answer.status == 0 or answer.status >= 500 then
        return -- the status stays unset, and haproxy.cfg says 503
    end
    txn:set_var("txn.authz.status", answer.status)
    if answer.status == 200 then return allow(txn, answer) end
    if answer.status ~= 404 then return refuse(txn, answer) end
end)
