// The words of PostgreSQL's frontend protocol, and what a client that sent them waits for.
import { Wire } from './postgres.mjs';

export const i16 = n => { const b = Buffer.alloc(2); b.writeInt16BE(n); return b; };
export const i32 = n => { const b = Buffer.alloc(4); b.writeInt32BE(n); return b; };
const value = v => { if (v === null) return i32(-1); const bytes = Buffer.from(v); return Buffer.concat([i32(bytes.length), bytes]); };

export const Q = sql => Wire.message('Q', sql);
export const P = (sql, name = '', types = []) => Wire.message('P', name, sql, i16(types.length), ...types.map(type => { const b = Buffer.alloc(4); b.writeUInt32BE(type); return b; }));
export const B = ({ portal = '', name = '', values = [], formats = [], results = [] } = {}) =>
  Wire.message('B', portal, name, i16(formats.length), ...formats.map(i16), i16(values.length), ...values.map(value), i16(results.length), ...results.map(i16));
export const D = (kind, name = '') => Wire.message('D', Buffer.from(kind), name);
export const E = (limit = 0, portal = '') => Wire.message('E', portal, i32(limit));
export const C = (kind, name = '') => Wire.message('C', Buffer.from(kind), name);
export const F = (oid, args = [], { formats = [1], result = 1 } = {}) => Wire.message('F', i32(oid), i16(formats.length), ...formats.map(i16), i16(args.length), ...args.map(value), i16(result));
export const S = Wire.message('S'), H = Wire.message('H'), X = Wire.message('X');
export const d = data => Wire.message('d', Buffer.from(data)), c = Wire.message('c'), f = text => Wire.message('f', text);
/** Parse, Bind, Describe and Execute of one text. */
export const X4 = (sql, bind = {}, limit = 0) => [P(sql), B(bind), D('P'), E(limit)];

// A step: messages, and what must have come before the next step. `until` is the end of the connection, a message type, or a number of ReadyForQuery.
export const ready = (count, ...messages) => ({ messages: messages.flat(Infinity), until: count });
export const upto = (type, ...messages) => ({ messages: messages.flat(Infinity), until: type });
export const ends = (...messages) => ({ messages: messages.flat(Infinity), until: 'end' });
/** A Query, a FunctionCall and a Sync are each answered with ReadyForQuery. */
export const step = (...messages) => ready(messages.flat(Infinity).filter(m => 'QFS'.includes(String.fromCharCode(m[0]))).length, ...messages);
export const session = (name, ...steps) => ({ name, steps: steps.map(one => (Array.isArray(one) ? step(one) : one.messages ? one : step(one))) });
