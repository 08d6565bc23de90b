import { createHash, randomBytes } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { generateSshKey, type Sshd, startSshd } from '../deploy/sshd.ts';
import type { Peer } from '../schemas/config.ts';
import { type Connection, connect } from './ssh.ts';

const folder = mkdtempSync(join(tmpdir(), 'ssh-'));
const remote = join(folder, 'remote');
const local = join(folder, 'local');
/** Not a multiple of a request's size, and more than the requests in flight at once can hold. */
const bytes = randomBytes(6 * 1024 * 1024 + 17);
const sha256 = createHash('sha256').update(bytes).digest('hex');
const expected = { sizeBytes: bytes.length, sha256 };
let sshd: Sshd;
let peer: Peer;
let connection: Connection;

beforeAll(async () => {
  const identity = join(folder, 'id');
  sshd = await startSshd({ folder: join(folder, 'sshd'), authorizedKeys: [await generateSshKey(identity)] });
  peer = {
    address: '127.0.0.1',
    port: sshd.port,
    user: userInfo().username,
    identity,
    hostKey: sshd.hostKey,
    folder: remote,
  };
  connection = await connect(peer);
});
afterAll(async () => {
  connection.close();
  await sshd.stop();
  rmSync(folder, { recursive: true });
});
beforeEach(() => {
  for (const place of [remote, local]) {
    rmSync(place, { recursive: true, force: true });
    mkdirSync(place, { recursive: true });
  }
  writeFileSync(join(remote, 'file'), bytes);
});

test('a file is fetched whole, and no part of the transfer remains', async () => {
  const target = join(local, 'file');
  expect(await connection.fetch('file', target, expected)).toMatchObject({ bytes: bytes.length });
  expect(readFileSync(target).equals(bytes)).toBe(true);
  expect(existsSync(`${target}.part`)).toBe(false);
});

test('a fetch goes on where an earlier one was cut', async () => {
  const target = join(local, 'file');
  const had = 1_000_003;
  writeFileSync(`${target}.part`, bytes.subarray(0, had));
  expect(await connection.fetch('file', target, expected)).toMatchObject({ bytes: bytes.length - had });
  expect(readFileSync(target).equals(bytes)).toBe(true);
});

test('a part that is complete needs no further byte', async () => {
  const target = join(local, 'file');
  writeFileSync(`${target}.part`, bytes);
  expect(await connection.fetch('file', target, expected)).toMatchObject({ bytes: 0 });
  expect(statSync(target).size).toBe(bytes.length);
});

test('a part of another file, or too long a one, is thrown away and the whole is fetched', async () => {
  const target = join(local, 'file');
  for (const wrong of [Buffer.alloc(1_000_003), Buffer.alloc(bytes.length + 1)]) {
    writeFileSync(`${target}.part`, wrong);
    const { bytes: travelled } = await connection.fetch('file', target, expected);
    expect(travelled).toBeGreaterThanOrEqual(bytes.length);
    expect(readFileSync(target).equals(bytes)).toBe(true);
  }
});

test('one flipped byte is refused, and neither the file nor its part remains', async () => {
  const flipped = Buffer.from(bytes);
  flipped[5_000_000] = (flipped[5_000_000] ?? 0) ^ 1;
  writeFileSync(join(remote, 'file'), flipped);
  const target = join(local, 'file');
  await expect(connection.fetch('file', target, expected)).rejects.toMatchObject({
    name: 'MachineFault',
    code: 'other-bytes',
    message: expect.stringContaining(sha256),
  });
  expect(existsSync(target)).toBe(false);
  expect(existsSync(`${target}.part`)).toBe(false);
});

test('a file of another size is refused before it travels, and a missing one is named', async () => {
  const target = join(local, 'file');
  await expect(connection.fetch('file', target, { sizeBytes: 5, sha256 })).rejects.toThrow(/5 were expected/);
  await expect(connection.fetch('nothing', target, expected)).rejects.toThrow(/has no file .*nothing/);
  expect(existsSync(target)).toBe(false);
});

test('a file is put, read back and named; one that is there is replaced', async () => {
  const source = join(local, 'source');
  writeFileSync(source, bytes);
  expect(await connection.put(source, 'fresnel/7.0-1/boot.tar')).toEqual(expected);
  expect(readFileSync(join(remote, 'fresnel/7.0-1/boot.tar')).equals(bytes)).toBe(true);
  expect(existsSync(join(remote, 'fresnel/7.0-1/boot.tar.part'))).toBe(false);
  writeFileSync(source, 'shorter');
  await connection.put(source, 'fresnel/7.0-1/boot.tar');
  expect(readFileSync(join(remote, 'fresnel/7.0-1/boot.tar'), 'utf8')).toBe('shorter');
  writeFileSync(source, '');
  expect(await connection.put(source, 'empty')).toMatchObject({ sizeBytes: 0 });
});

test('a file that a peer cannot hold is not named there', async () => {
  mkdirSync(join(remote, 'full'));
  symlinkSync('/dev/full', join(remote, 'full/file.part'));
  const source = join(local, 'source');
  writeFileSync(source, bytes);
  await expect(connection.put(source, 'full/file')).rejects.toThrow();
  expect(existsSync(join(remote, 'full/file'))).toBe(false);
});

test('a remote file is hashed; without one the result is undefined', async () => {
  expect(await connection.hash('file', 2 ** 30)).toEqual(expected);
  expect(await connection.hash('nothing', 2 ** 30)).toBeUndefined();
});

test.each(['../secret', '/etc/passwd', 'a/../../b', '', 'a//b', './a'])(
  'the path "%s" is refused',
  async (path) => {
    await expect(connection.hash(path, 2 ** 30)).rejects.toMatchObject({
      name: 'MachineFault',
      code: 'path-refused',
    });
  },
);

test('another host key than the pinned one is refused, before anything is asked', async () => {
  const hostKey = await generateSshKey(join(folder, 'another'));
  await expect(connect({ ...peer, hostKey })).rejects.toMatchObject({
    code: 'wrong-host-key',
    message: expect.stringContaining(`"${hostKey}" is pinned`),
  });
});

test('a peer that refuses the key, and one that is not there, are named', async () => {
  const identity = join(folder, 'stranger');
  await generateSshKey(identity);
  await expect(connect({ ...peer, identity })).rejects.toMatchObject({
    code: 'login-refused',
    message: /refuses the key/,
  });
  await expect(connect({ ...peer, identity: join(folder, 'none') })).rejects.toMatchObject({
    code: 'login-refused',
  });
  await expect(connect({ ...peer, port: 1 })).rejects.toMatchObject({
    code: 'unreachable',
    message: expect.stringContaining("can't be reached"),
  });
});

test('a connection that is lost half-way leaves a part that the next one resumes', async () => {
  const second = await startSshd({
    folder: join(folder, 'second'),
    authorizedKeys: [readFileSync(`${peer.identity}.pub`, 'utf8').trim()],
  });
  const there = { ...peer, port: second.port, hostKey: second.hostKey };
  const large = Buffer.alloc(96 * 1024 * 1024, 7);
  writeFileSync(join(remote, 'large'), large);
  const want = { sizeBytes: large.length, sha256: createHash('sha256').update(large).digest('hex') };
  const target = join(local, 'large');
  const cut = await connect(there);
  const fetching = cut.fetch('large', target, want);
  fetching.catch(() => undefined);
  while (!existsSync(`${target}.part`) || statSync(`${target}.part`).size < 1_000_000)
    await new Promise((resolve) => setTimeout(resolve, 1));
  await second.stop();
  await expect(fetching).rejects.not.toMatchObject({ name: 'MachineFault' });
  await expect(cut.hash('large', 2 ** 30)).rejects.toThrow(/connection was lost/);
  expect(existsSync(target)).toBe(false);
  const held = statSync(`${target}.part`).size;
  expect(held).toBeLessThan(large.length);
  expect(await connection.fetch('large', target, want)).toMatchObject({ bytes: large.length - held });
});

test('a stop ends a transfer with its own reason', async () => {
  const stop = new AbortController();
  const stopped = await connect(peer, stop.signal);
  stop.abort(new Error('the agent stops'));
  await expect(stopped.hash('file', 2 ** 30)).rejects.toThrow('the agent stops');
  await expect(connect(peer, stop.signal)).rejects.toThrow('the agent stops');
});
