// pg_drain.mjs PORT USER DATABASE PASSWORD SQL: sends one query, reads its answer without parsing it, prints JSON { bytes, seconds }.
import net from 'node:net';

const [port, user, database, password, sql] = process.argv.slice(2);
const socket = net.connect({ port: Number(port), host: '127.0.0.1', noDelay: true });
const message = (type, body) => { const head = Buffer.alloc(type.length + 4); head.write(type); head.writeInt32BE(body.length + 4, type.length); return Buffer.concat([head, body]); };
socket.write(message('', Buffer.concat([Buffer.from([0, 3, 0, 0]), Buffer.from(`user\0${user}\0database\0${database}\0\0`)])));
let tail = Buffer.alloc(0), bytes = 0, begun = 0;
socket.on('data', data => {
  bytes += data.length;
  tail = Buffer.concat([tail, data.subarray(-12)]).subarray(-12);
  if (!begun && tail.includes(Buffer.from([0x52, 0, 0, 0, 8, 0, 0, 0, 3]))) socket.write(message('p', Buffer.from(password + '\0')));
  if (!tail.subarray(-6).equals(Buffer.from([0x5a, 0, 0, 0, 5, 0x49]))) return;
  if (begun) { console.log(JSON.stringify({ bytes, seconds: (performance.now() - begun) / 1000 })); socket.destroy(); return; }
  bytes = 0; begun = performance.now();
  socket.write(message('Q', Buffer.from(sql + '\0')));
});
socket.on('error', error => { console.error(error.message); process.exit(1); });
