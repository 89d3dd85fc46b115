// A game server over WebSocket: `node game.js PATH-OF-WS HOST PORT`. It confirms each move of a player by repeating it, a tick
// later, and keeps the players' positions. At SIGTERM it tells them that it goes (1001), and exits.
'use strict';
const [, , ws, host, port] = process.argv;
const { WebSocketServer } = require(ws);
const TICK = 20; // milliseconds
const positions = new Map();
const server = new WebSocketServer({ host, port: Number(port) });
server.on('connection', (socket) => {
  socket.on('message', (move) => {
    positions.set(socket, String(move));
    setTimeout(() => socket.send(String(move)), TICK);
  });
  socket.on('close', () => positions.delete(socket));
  socket.on('error', () => positions.delete(socket));
});
process.on('SIGTERM', () => {
  for (const socket of server.clients) socket.close(1001);
  server.close(() => process.exit(0));
  setTimeout(() => process.exit(0), 1000);
});
