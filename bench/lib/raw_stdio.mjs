// The server of raw_upstream.mjs on stdin and stdout.
import readline from 'node:readline';
import { answer } from './raw_answers.mjs';
readline.createInterface({ input: process.stdin }).on('line', text => {
  const message = JSON.parse(text);
  if (message.id !== undefined) process.stdout.write(`${JSON.stringify(answer(message, false))}\n`);
});
