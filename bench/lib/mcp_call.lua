-- One tools/call a request, ids counted up. Arguments after "--": session id, token ("none" for neither) and era.
local counter = 0
local meta = ""
function init(args)
  wrk.method = "POST"
  wrk.headers["Content-Type"] = "application/json"
  wrk.headers["Accept"] = "application/json, text/event-stream"
  if args[3] == "modern" then
    wrk.headers["MCP-Protocol-Version"] = "2026-07-28"
    wrk.headers["Mcp-Method"] = "tools/call"
    wrk.headers["Mcp-Name"] = "echo"
    meta = ',"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"bench","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}'
  else
    wrk.headers["MCP-Protocol-Version"] = "2025-11-25"
  end
  if args[1] ~= "none" then wrk.headers["Mcp-Session-Id"] = args[1] end
  if args[2] ~= "none" then wrk.headers["Authorization"] = "Bearer " .. args[2] end
  thread_seed = math.floor(tonumber(tostring({}):sub(8)) or 0) % 100000
end
function request()
  counter = counter + 1
  local id = thread_seed * 100000000 + counter
  return wrk.format(nil, nil, nil, '{"jsonrpc":"2.0","id":' .. id .. ',"method":"tools/call","params":{"name":"echo","arguments":{"text":"hello"}' .. meta .. '}}')
end
function done(summary, latency)
  io.write(string.format('RESULT {"requests":%d,"seconds":%f,"p50":%f,"p99":%f,"errors":%d}\n', summary.requests, summary.duration / 1e6,
    latency:percentile(50), latency:percentile(99), summary.errors.status + summary.errors.read + summary.errors.write + summary.errors.timeout + summary.errors.connect))
end
