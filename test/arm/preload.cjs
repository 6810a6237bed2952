// What starts another Node has to start it emulated, as this one was.
process.execPath = process.env.RINGSIDE_CODE;
