-- A user's Neovim, without a window: opens a file, asks for a completion at the cursor by the standard
-- request, and inserts it. For versions without vim.lsp.inline_completion, too.
--
-- nvim --headless --clean -l is not there before 0.9, so: nvim --headless --clean FILE -S neovim.lua
-- The environment has RINGSIDE_NODE, RINGSIDE_SERVER, RINGSIDE_LINE (from 1), RINGSIDE_COLUMN (bytes,
-- from 0) and RINGSIDE_REPORT, a file that takes what happened as JSON.

local report = { version = tostring(vim.version().major) .. "." .. tostring(vim.version().minor) }

local function finish(err)
  report.error = err
  report.lines = vim.api.nvim_buf_get_lines(0, 0, -1, true)
  report.fileformat = vim.bo.fileformat
  vim.cmd("silent write")
  local file = assert(io.open(vim.env.RINGSIDE_REPORT, "w"))
  file:write(vim.fn.json_encode(report))
  file:close()
  vim.cmd(err and "cquit 1" or "quitall!")
end

local ready = false
local client_id = vim.lsp.start_client({
  name = "ringside",
  cmd = { vim.env.RINGSIDE_NODE, vim.env.RINGSIDE_SERVER, "--stdio" },
  root_dir = vim.fn.getcwd(),
  handlers = {
    ["ringside/status"] = function(_, status)
      report.status = status.kind
      ready = ready or status.kind == "ready"
    end,
  },
})
if client_id == nil then
  finish("The server does not start.")
  return
end
vim.lsp.buf_attach_client(0, client_id)

if not vim.wait(20000, function() return ready end, 20) then
  finish("The server does not get ready.")
  return
end

local row, column = tonumber(vim.env.RINGSIDE_LINE), tonumber(vim.env.RINGSIDE_COLUMN)
vim.api.nvim_win_set_cursor(0, { row, column })
local client = vim.lsp.get_client_by_id(client_id)
local encoding = client.offset_encoding
-- The place after the character under the cursor, as in insert mode at the end of a line.
local line = vim.api.nvim_buf_get_lines(0, row - 1, row, true)[1]
local _, utf16 = vim.str_utfindex(line, column)
local params = {
  textDocument = vim.lsp.util.make_text_document_params(0),
  position = { line = row - 1, character = utf16 },
  context = { triggerKind = 1 },
}
report.character = utf16

local replies = vim.lsp.buf_request_sync(0, "textDocument/inlineCompletion", params, 20000)
local reply = replies and replies[client_id]
if reply == nil or reply.error ~= nil then
  finish("No reply: " .. vim.inspect(reply))
  return
end
local item = reply.result[1]
if item == nil then
  finish("The server proposes nothing.")
  return
end
report.inserted = item.insertText
vim.lsp.util.apply_text_edits({ { range = item.range, newText = item.insertText } }, 0, encoding)

-- What the server has of the buffer must be what the buffer is: it is asked again behind the insertion.
local last = item.insertText:match("[^\n]*$")
report.again = false
local rows = select(2, item.insertText:gsub("\n", ""))
local there = vim.api.nvim_buf_get_lines(0, row - 1 + rows, row + rows, true)[1]
local before = rows == 0 and column + #last or #last
local _, behind = vim.str_utfindex(there, before)
params.position = { line = row - 1 + rows, character = behind }
local more = vim.lsp.buf_request_sync(0, "textDocument/inlineCompletion", params, 20000)
report.again = more ~= nil and more[client_id] ~= nil and more[client_id].error == nil
vim.lsp.stop_client(client_id)
finish(nil)
