import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { execa } from 'execa';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { sandboxHolder } from '../deploy/local-fleet/sandbox-lock.ts';
import { sandboxPlaces } from '../deploy/places/sandbox-places.ts';
import { ka, testFolder } from './ka.ts';

/** The processes whose arguments name something below a folder. */
const processesAt = (folder: string): string[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && name !== String(process.pid))
    .flatMap((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
      } catch {
        return []; // it has ended
      }
    })
    .filter((line) => line.includes(folder));

describe('a command that makes a fleet and is interrupted', () => {
  let made: Awaited<ReturnType<typeof testFolder>>;
  let folder: string;
  beforeEach(async () => {
    made = await testFolder('interrupt');
    folder = join(made.folder, 'fleet');
  });
  afterEach(async () => {
    await ka(['down', '--dir', folder]);
    await made.remove();
  });

  it.each([
    ['SIGINT', 130, 'making the git repositories'],
    ['SIGTERM', 143, 'publishing the baseline on hertz'],
    ['SIGINT', 130, 'starting nats-server'],
  ] as const)(
    'by %s ends with %i and leaves nothing running (%s)',
    async (name, code, at) => {
      const running = execa(resolve(import.meta.dirname, '../ka'), ['up', '--dir', folder], {
        reject: false,
      });
      for await (const line of createInterface(running.stderr))
        if (line.includes(at)) {
          running.kill(name);
          break;
        }
      const { exitCode } = await running;
      expect(exitCode).toBe(code);
      expect(sandboxHolder(sandboxPlaces(folder))).toBeUndefined();
      // gpg's agent is nobody's child, and ends when it notices that its folder is gone.
      expect(processesAt(folder).filter((line) => !line.startsWith('gpg-agent'))).toEqual([]);
    },
    120_000,
  );
});
