-- For wrk. BODY_FILE: the request body, in which @@ is replaced; UNIQUE=1: by another text each time, else by a
-- constant. HEADERS: lines "Name: value", separated by "|". Prints one line of JSON at the end.
local unique = os.getenv("UNIQUE") == "1"
local before, after, fixed
local count = 0

-- A number in letters: digits in a question may be a telephone number, and reading one is work of another kind.
local function letters(number)
  local text = ""
  repeat
    text = string.char(97 + number % 26) .. text
    number = math.floor(number / 26)
  until number == 0
  return text
end

local seed = letters(os.time()) .. "x" .. (os.getenv("SEED") or "a")

function init(args)
  local file = assert(io.open(os.getenv("BODY_FILE"), "rb"))
  local body = file:read("*a")
  file:close()
  local first, last = body:find("@@", 1, true)
  before, after = body:sub(1, first - 1), body:sub(last + 1)
  wrk.method = "POST"
  wrk.headers["Content-Type"] = "application/json"
  for line in (os.getenv("HEADERS") or ""):gmatch("[^|]+") do
    local name, value = line:match("^%s*([^:]+):%s*(.*)$")
    wrk.headers[name] = value
  end
  fixed = wrk.format(nil, nil, nil, before .. "a" .. after)
end

function request()
  if not unique then return fixed end
  count = count + 1
  return wrk.format(nil, nil, nil, before .. seed .. "x" .. letters(count) .. after)
end

function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format('\nRESULT {"rps": %f, "p50_ms": %f, "p99_ms": %f, "bad": %d}\n',
    summary.requests / (summary.duration / 1e6), latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    e.connect + e.read + e.write + e.status + e.timeout))
end
