-- One tools/call a request, ids counted up. Arguments after "--": session id and token, where there are any.
local counter = 0
function init(args)
  wrk.method = "POST"
  wrk.headers["Content-Type"] = "application/json"
  wrk.headers["Accept"] = "application/json, text/event-stream"
  wrk.headers["MCP-Protocol-Version"] = "2025-11-25"
  if args[1] then wrk.headers["Mcp-Session-Id"] = args[1] end
  if args[2] then wrk.headers["Authorization"] = "Bearer " .. args[2] end
  thread_seed = math.floor(tonumber(tostring({}):sub(8)) or 0) % 100000
end
function request()
  counter = counter + 1
  local id = thread_seed * 100000000 + counter
  return wrk.format(nil, nil, nil, '{"jsonrpc":"2.0","id":' .. id .. ',"method":"tools/call","params":{"name":"echo","arguments":{"text":"hello"}}}')
end
function done(summary, latency)
  io.write(string.format('RESULT {"requests":%d,"seconds":%f,"p50":%f,"p99":%f,"errors":%d}\n', summary.requests, summary.duration / 1e6,
    latency:percentile(50), latency:percentile(99), summary.errors.status + summary.errors.read + summary.errors.write + summary.errors.timeout + summary.errors.connect))
end
