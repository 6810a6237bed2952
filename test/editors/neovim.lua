-- A user's Neovim, without a window: the lines of docs/editors.md are its configuration. They complete
-- at a place of the file that it was started with, and what comes of it is reported.
--
-- The environment has RINGSIDE_LINE (from 1), RINGSIDE_COLUMN (bytes, from 0) and RINGSIDE_REPORT, a
-- file that takes what happened as JSON.

local WAIT_MS = 20000
local report = {}

local function finish(problem)
  report.error = problem
  report.lines = vim.api.nvim_buf_get_lines(0, 0, -1, true)
  report.fileformat = vim.bo.fileformat
  report.cursor = vim.api.nvim_win_get_cursor(0)
  vim.cmd("silent write")
  local file = assert(io.open(vim.env.RINGSIDE_REPORT, "w"))
  file:write(vim.fn.json_encode(report))
  file:close()
  vim.cmd("quitall!")
end

local ready = false
vim.lsp.handlers["ringside/status"] = function(_, status)
  ready = ready or status.kind == "ready"
end
vim.o.virtualedit = "onemore" -- the cursor may stand behind a line's end, as in insert mode
vim.cmd("doautocmd FileType") -- the file was opened before the configuration was read

if not vim.wait(WAIT_MS, function() return ready end, 20) then
  return finish("The server does not get ready.")
end

--- Completes at the cursor; whether something was inserted.
local function complete()
  local tick = vim.b.changedtick
  RingsideComplete()
  return vim.wait(WAIT_MS, function() return vim.b.changedtick ~= tick end, 10)
end

vim.api.nvim_win_set_cursor(0, { tonumber(vim.env.RINGSIDE_LINE), tonumber(vim.env.RINGSIDE_COLUMN) })
if not complete() then return finish("Nothing is inserted.") end
vim.wait(50) -- the cursor follows
report.first = vim.api.nvim_buf_get_lines(0, 0, -1, true)
report.cursor = vim.api.nvim_win_get_cursor(0)

-- The server must have heard of the insertion: once it is undone, the same is proposed again.
vim.cmd("silent undo")
vim.api.nvim_win_set_cursor(0, { tonumber(vim.env.RINGSIDE_LINE), tonumber(vim.env.RINGSIDE_COLUMN) })
if not complete() then return finish("Nothing is inserted after an undo.") end
vim.wait(50)
finish(nil)
