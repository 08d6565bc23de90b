import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type FileServer, startFileServer } from './file-server.ts';

const scratch = mkdtempSync(join(tmpdir(), 'ka-files-'));
let server: FileServer;

beforeAll(async () => {
  mkdirSync(join(scratch, 'views/one'), { recursive: true });
  writeFileSync(join(scratch, 'views/one/a.db'), '0123456789');
  writeFileSync(join(scratch, 'secret'), 'secret');
  symlinkSync('views/one', join(scratch, 'current'));
  server = await startFileServer({ arch: join(scratch, 'current') });
});
afterAll(async () => {
  await server.close();
  rmSync(scratch, { recursive: true, force: true });
});

/** Node's own client sends the path unchanged; fetch would normalize it. */
const get = (path: string, headers = {}, method = 'GET') =>
  new Promise<{ status: number | undefined; body: string }>((resolve, reject) => {
    request({ host: '127.0.0.1', port: server.port, path, headers, method }, (response) => {
      let body = '';
      response.on('data', (piece) => {
        body += piece;
      });
      response.on('end', () => resolve({ status: response.statusCode, body }));
    })
      .on('error', reject)
      .end();
  });

test('an interrupted download goes on where it stopped', async () => {
  expect(await get('/arch/a.db', { range: 'bytes=4-' })).toEqual({ status: 206, body: '456789' });
});

test('nothing outside the folders is served, and nothing is written', async () => {
  for (const path of ['/arch/../secret', '/arch/..%2fsecret', '/secret', '/', '/constructor/x', '/arch/'])
    expect((await get(path)).body, path).toBe('');
  expect((await get('/arch/a.db', {}, 'PUT')).status).toBe(405);
});

test('the link is followed again for each request', async () => {
  mkdirSync(join(scratch, 'views/two'));
  writeFileSync(join(scratch, 'views/two/a.db'), 'new');
  rmSync(join(scratch, 'current'));
  symlinkSync('views/two', join(scratch, 'current'));
  expect(await get('/arch/a.db')).toEqual({ status: 200, body: 'new' });
});
