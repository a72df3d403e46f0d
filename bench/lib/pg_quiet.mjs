// A server that greets like PostgreSQL and has nothing in it, whatever is asked: ten thousand idle sessions without ten thousand processes.
import net from 'node:net';
const greeting = Buffer.concat([Buffer.from('R\0\0\0\x08\0\0\0\0', 'latin1'), Buffer.from('S\0\0\0\x19client_encoding\0UTF8\0', 'latin1'),
  Buffer.from('K\0\0\0\x0c\0\0\0\x01\0\0\0\x02', 'latin1'), Buffer.from('Z\0\0\0\x05I', 'latin1')]);
const nothing = Buffer.concat([Buffer.from('C\0\0\0\x0dSELECT 0\0', 'latin1'), Buffer.from('Z\0\0\0\x05I', 'latin1')]);
const server = net.createServer(socket => {
  let greeted = false;
  socket.on('data', data => {
    if (!greeted) { greeted = true; socket.write(greeting); } else if (data[0] === 0x51) socket.write(nothing);
  });
  socket.on('error', () => {});
}).listen({ port: 0, host: '127.0.0.1', backlog: 4096 }, () => console.log(server.address().port));
