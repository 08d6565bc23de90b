import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { headers, type NatsConnection } from 'nats';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { signatureHeader } from '../../eventlog/signing/check-event.ts';
import { type SealedEvent, sealEvent } from '../../eventlog/signing/seal.ts';
import { payloadTypes } from '../../eventlog/signing/writer-key.ts';
import { noIteration } from '../../schemas/events.ts';
import { ka } from '../ka.ts';
import { type LogServer, people, startLogServer } from '../log-server.ts';
import { attack } from './attack.ts';

const fleet = 'test';

describe('a board that writes rubbish', () => {
  let log: LogServer;
  let board: NatsConnection;
  let config: string;
  const run = (...args: string[]) => ka([...args, '--config', config]);
  const verified = async () => {
    const ran = await run('audit', '--verify', '--json');
    return { exitCode: ran.exitCode, ...JSON.parse(ran.stdout) } as {
      exitCode: number;
      faults: { sequence: number }[];
      acknowledged: { sequence: number; by: string }[];
    };
  };
  beforeAll(async () => {
    log = await startLogServer(fleet, { boltzmann: 'builder', fresnel: 'board' });
    config = join(log.folder, 'config.yaml');
    const identities = Object.fromEntries(people.map((name) => [name, log.keyFile(`@${name}`)]));
    const nats = { servers: [log.server.url] };
    writeFileSync(
      config,
      JSON.stringify({ nats, fleetFile: log.fleetFile, identities, cacheFolder: join(log.folder, 'cache') }),
    );
    board = await log.connect('fresnel');
  });
  afterAll(() => log?.stop());

  const publish = async (subject: string, bytes: Uint8Array | string, signature = '') => {
    const head = headers();
    head.set(signatureHeader, signature);
    const { seq } = await board.jetstream().publish(subject, bytes as Uint8Array, { headers: head });
    return seq;
  };
  const start = (attempt: number): SealedEvent =>
    sealEvent(
      {
        type: 'AgentStarted',
        iteration: noIteration,
        attempt,
        data: { role: 'board', version: '1', bootId: 'b', release: 'r', package: null },
      },
      { fleet, name: 'fresnel', key: log.key('fresnel') },
      undefined,
      '2026-05-11T08:00:00Z',
    );
  const subjectOf = (type: string, n: number) => `ka.${fleet}.fresnel.${noIteration}.${type}.${n}`;

  attack(
    'rubbish-in-the-log',
    'is one alarm, and none any more once a person has acknowledged it',
    async () => {
      for (let n = 1; n <= 300; n += 1) await publish(subjectOf('AgentStarted', n), `rubbish ${n}`);
      const signed = Buffer.from('{}');
      await publish(subjectOf('Noted', 1), signed, log.key('fresnel').sign(payloadTypes.event, signed));
      const restored = Buffer.from('{"by": "me"}');
      await publish(
        subjectOf('RefusalAcknowledged', 1),
        restored,
        log.key('fresnel').sign(payloadTypes.event, restored),
      );
      for (const n of [400, 401]) {
        const { subject, bytes, signature } = start(n); // each says that it is the first
        await publish(subject, bytes, signature);
      }
      const before = await verified();
      expect(before.exitCode).toBe(1);
      expect(before.faults).toHaveLength(303);
      const { stdout } = await run('audit', '--verify');
      expect(stdout.split('\n').length).toBeLessThan(8);
      expect(stdout).toContain("300 messages of fresnel, sequence 1 to 300: its signature is not fresnel's");
      const { stderr } = await run('status');
      expect(stderr.split('\n').filter((line) => line.includes('ALARM')).length).toBeLessThan(5);

      const why = 'a board that was broken';
      const said = await run('log', 'acknowledge', '1-400', '--why', why);
      expect(said).toMatchObject({ exitCode: 0, stdout: 'acknowledged 303 of fresnel, sequence 1 to 304' });
      const after = await verified();
      expect(after).toMatchObject({ exitCode: 0, faults: [] });
      expect(after.acknowledged).toHaveLength(303);
      for (const command of [['status'], ['log'], ['audit', '--verify']]) {
        const told = await run(...command);
        const text = told.stdout + told.stderr;
        expect(text).not.toContain('ALARM');
        expect(text).toContain(`acknowledged by ${people[0]}: ${why}`);
      }
    },
  );

  attack('rubbish-in-the-log', 'is not covered by what was acknowledged before', async () => {
    const seq = await publish(subjectOf('AgentStarted', 900), 'more');
    const { exitCode, faults } = await verified();
    expect(exitCode).toBe(1);
    expect(faults.map(({ sequence }) => sequence)).toEqual([seq]);
    const { stderr } = await run('status');
    expect(stderr).toContain(`ALARM: 1 message of fresnel, sequence ${seq}: `);
  });

  attack('rubbish-in-the-log', 'is acknowledged only where it is, and by a person', async () => {
    const wrong = await run('log', 'acknowledge', '9999', '--why', 'x');
    expect(wrong).toMatchObject({ exitCode: 2, stderr: expect.stringContaining('at sequence 9999') });
    const [, other] = people;
    const last = (await verified()).faults[0]?.sequence ?? 0;
    const forged = sealEvent(
      {
        type: 'RefusalAcknowledged',
        iteration: noIteration,
        attempt: 5,
        data: { by: other, why: 'me', messages: [{ sequence: last, sha256: 'a'.repeat(64) }] },
      },
      { fleet, name: 'fresnel', key: log.key('fresnel') },
      undefined,
      '2026-05-11T08:00:00Z',
    );
    await publish(forged.subject, forged.bytes, forged.signature);
    expect((await verified()).faults.map(({ sequence }) => sequence)).toEqual([last, last + 1]);
  });
});
