import { copyFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { eventsMember } from '../../coordinator/export/event-records.ts';
import { readArchive } from '../../coordinator/export/read-archive.ts';
import { waitUntil } from '../faults/sandbox-faults.ts';
import { startTestFleet, type TestFleet } from '../test-fleet.ts';
import { endIn, waysToEnd } from './ways-to-end.ts';

const limitBytes = 64 * 1024 * 1024;

/** Two fleets keep two cores busy: they wait for programs and clocks as much as they compute. */
const fleetsAtOnce = 2;

/** Writes a history: the iteration's events as `ka export` wrote them, and the fleet's file as it is now. */
const keep = async (name: string, fleet: TestFleet): Promise<string> => {
  const archive = join(fleet.folder, `${name}.tar`);
  let said = '';
  await waitUntil(`${name} can be exported`, async () => {
    const { exitCode, stderr } = await fleet.ka('export', name, '--out', archive);
    said = stderr;
    return exitCode === 0;
  }).catch((cause: unknown) => {
    throw new Error(`ka export ${name}: ${said}`, { cause });
  });
  const verified = await fleet.ka('audit', '--verify', '--from', archive);
  if (verified.exitCode !== 0) throw new Error(`ka audit --verify: ${verified.stdout}${verified.stderr}`);
  const events = await readArchive(archive, eventsMember, { limitBytes });
  if (!events) throw new Error(`the export of ${name} holds no ${eventsMember}`);
  await writeFile(join(import.meta.dirname, `${name}.events.jsonl`), events);
  await copyFile(fleet.places.fleetFile, join(import.meta.dirname, `${name}.fleet.yaml`));
  const own = (await fleet.events(name)).at(-1)?.event;
  return `${own?.type}, ${Math.round(events.length / 1000)} kB`;
};

/** Carries one iteration to its end in a fresh fleet, and keeps what the log holds of it. */
const record = async (name: string): Promise<string> => {
  const started = Date.now();
  const fleet = await startTestFleet(`history-${name}`);
  try {
    await endIn(name, fleet);
    const kept = await keep(name, fleet);
    return `${name}: ${kept}, in ${Math.round((Date.now() - started) / 1000)} s`;
  } finally {
    await fleet.remove();
  }
};

/** `record.ts [NAME…]`: records those histories again, or all of them. */
const names = process.argv.slice(2);
const unknown = names.filter((name) => !Object.hasOwn(waysToEnd, name));
if (unknown.length > 0) {
  const known = Object.keys(waysToEnd).join(' ');
  process.stderr.write(`ka: there is no history ${unknown.join(', ')}; there are: ${known}\n`);
  process.exitCode = 2;
} else {
  const left = names.length > 0 ? names : Object.keys(waysToEnd);
  // What runs hears of it as well, and fails: its fleet is taken down. A second one ends this at once.
  process.once('SIGINT', () => {
    left.length = 0;
    process.exitCode = 130;
  });
  const recordOne = async (): Promise<void> => {
    for (let name = left.shift(); name !== undefined; name = left.shift())
      await record(name).then(
        (done) => void process.stdout.write(`${done}\n`),
        (error: unknown) => {
          process.stderr.write(`ka: ${name}: ${inspect(error)}\n`);
          process.exitCode = 1;
        },
      );
  };
  await Promise.all(Array.from({ length: fleetsAtOnce }, recordOne));
}
