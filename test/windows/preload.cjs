// What Wine 8 lacks and every Windows has: TCP_KEEPALIVE. fetch() asks for it before it connects, and
// would never connect.
require("node:net").Socket.prototype.setKeepAlive = function () {
  return this;
};
