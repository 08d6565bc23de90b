import { createReadStream } from 'node:fs';
import { open, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createGunzip } from 'node:zlib';
import type { Boot } from '../../schemas/boot.ts';
import type { BoardConfig } from '../../schemas/config.ts';
import type { StepEvidence } from '../../schemas/steps.ts';
import { StepFailed } from '../runtime/errors.ts';
import type { StepContext } from '../runtime/step.ts';
import { onBoard } from './board-root.ts';
import { type EarlierTraces, earlierTraces, howItEnded } from './boot-traces.ts';

type Rebooted = StepEvidence<'reboot'>;

const rebootTries = 3;
const rebootWithinMs = 5 * 60_000;

/** Reads what the running system reports about itself. */
export const readBoot = async (
  host: Pick<BoardConfig, 'bootIdFile' | 'releaseFile' | 'procVersionFile'>,
): Promise<Boot> => {
  const [bootId, release, procVersion] = await Promise.all(
    [host.bootIdFile, host.releaseFile, host.procVersionFile].map(async (file) =>
      (await readFile(file, 'utf8')).trim(),
    ),
  );
  return { bootId: bootId ?? '', release: release ?? '', procVersion: procVersion ?? '' };
};

const startsWithGzip = async (file: string): Promise<boolean> => {
  const handle = await open(file);
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(2), 0, 2, 0);
    return bytesRead === 2 && buffer.readUInt16BE(0) === 0x1f8b;
  } finally {
    await handle.close();
  }
};

/** Longer than any banner. This much of the text so far is kept, so that a banner that spans two pieces is found. */
const bannerAtMost = 4096;

/** The banners in a text. `isWhole`: a newline or a NUL ends it; without either it goes on in the next piece. */
const bannersIn = (text: string): { banner: string; isWhole: boolean }[] =>
  text
    .split('Linux version ')
    .slice(1)
    .flatMap((rest) => {
      const [said] = /^\S+ \([^\n\0]*/.exec(rest) ?? [];
      return said === undefined
        ? []
        : [{ banner: `Linux version ${said}`, isWhole: said.length < rest.length }];
    });

/**
 * The line `Linux version …` that a kernel image prints first when it boots, and that `/proc/version` begins with. The
 * image may be gzipped.
 * @throws {StepFailed} (host) if the image isn't there or holds no banner.
 */
export const imageBanner = async (image: string): Promise<string> => {
  const refuse = (found: string, cause?: unknown) =>
    new StepFailed(
      'host',
      `The boot image ${image} ${found}: without its banner nobody can tell which kernel boots.`,
      { cause },
    );
  try {
    const zipped = await startsWithGzip(image);
    const bytes = createReadStream(image);
    const gunzip = createGunzip();
    const pieces = zipped ? bytes.on('error', (error) => gunzip.destroy(error)).pipe(gunzip) : bytes;
    let text = '';
    for await (const piece of pieces) {
      text = text.slice(-bannerAtMost) + (piece as Buffer).toString('latin1');
      const found = bannersIn(text).find(({ isWhole }) => isWhole);
      if (found) return found.banner;
    }
    const last = bannersIn(text).at(-1);
    if (last) return last.banner;
  } catch (error) {
    throw refuse(`can't be read (${error instanceof Error ? error.message : String(error)})`, error);
  }
  throw refuse('holds no "Linux version"');
};

/** `Linux version 7.0.0-fourier (…` → `7.0.0-fourier`: what `uname -r` will print. */
export const bannerRelease = (banner: string): string => banner.split(' ')[2] ?? '';

/** Whether a boot runs the installed kernel; false if the installed image can't be read. */
export const runsInstalled = (
  host: Pick<BoardConfig, 'root' | 'boot'>,
  { procVersion }: Boot,
): Promise<boolean> =>
  imageBanner(onBoard(host.root, host.boot.image)).then(
    (banner) => procVersion.startsWith(banner),
    () => false,
  );

/** @throws {StepFailed} (host) if the running kernel is not the installed one; `then` ends its sentence. */
export const requireRunsInstalled = async (
  host: Pick<BoardConfig, 'host' | 'root' | 'boot'>,
  { procVersion }: Boot,
  then: string,
): Promise<void> => {
  const banner = await imageBanner(onBoard(host.root, host.boot.image));
  if (!procVersion.startsWith(banner))
    throw new StepFailed(
      'host',
      `${host.host} runs ${procVersion}, and the installed image is ${banner}: ${then}`,
    );
};

/** Compares the kernel that came back with the installed one. `boots` are the boots that the agent has seen since. */
export const rebootOutcome = (
  { after, imageBanner, boots }: { after: Boot; imageBanner: string; boots: readonly string[] },
  release: string,
): Rebooted['outcome'] => {
  // A trial that came up and ended makes two boots. Only what came back counts.
  if (after.release !== release || !after.procVersion.startsWith(imageBanner)) return 'fell-back';
  return new Set([...boots, after.bootId]).size > 1 ? 'rebooted-twice' : 'new-kernel';
};

/** A boot that ended or is going to end, and the time of that in milliseconds since 1970. */
export interface BootBefore extends EarlierTraces {
  boot: Boot;
  at: number;
}

/** Returns the boot that runs now, as one that is about to end. */
export const bootNow = async (host: BoardConfig): Promise<BootBefore> => ({
  boot: await readBoot(host),
  at: Date.now(),
  ...(await earlierTraces(host.boot.traces)),
});

/**
 * Reboots once and returns which kernel came back, and how the new kernel ended if another one came back. The agent
 * dies with the old boot; the agent of the new boot probes the boot id. If the board has booted since `since` for
 * another reason, such as a power cut, that counts as the reboot, and the board is not rebooted again.
 * @param since The boot that the reboot is to end. Default: the one that runs when the effect begins.
 * @param withinMs How long the board may take to go down after each of at most three requests.
 * @throws {StepFailed} (host) if the image is not a kernel's, or the board never rebooted.
 */
export const rebootBoard = async (
  { effect, host, run, note, workFolder, bootsAfter, signal }: StepContext<BoardConfig, 'reboot'>,
  {
    release,
    installedVersion,
    since,
  }: { release: string; installedVersion: string; since?: BootBefore | undefined },
  withinMs = rebootWithinMs,
): Promise<Rebooted> => {
  const image = onBoard(host.root, host.boot.image);
  const triesFile = join(workFolder, 'reboot-tries');
  const ended = async ({ boot, at }: BootBefore) =>
    (await readBoot(host)).bootId === boot.bootId
      ? undefined
      : { before: boot, secondsDown: Math.max(0, Date.now() - at) / 1000 };
  const kept = ({ boot: _boot, at: _at, ...rest }: BootBefore & { banner: string }) => rest;
  const seen = await effect('reboot', {
    // The banner of the kernel that is installed now: if the board goes back on its own, the image is another one
    // afterwards.
    before: async () => {
      const now = await bootNow(host);
      const banner = await imageBanner(image);
      return { ...(since && since.boot.bootId !== now.boot.bootId ? since : now), banner };
    },
    probe: async (before) => {
      const result = await ended(before);
      return result ? { happened: 'yes', result: { ...result, ...kept(before) } } : { happened: 'no' };
    },
    act: async (before): Promise<{ before: Boot; secondsDown: number } & ReturnType<typeof kept>> => {
      const already = await ended(before);
      if (already) {
        note(
          `${host.host} has booted again by itself since ${before.boot.bootId}: that counts as the reboot`,
        );
        return { ...already, ...kept(before) };
      }
      const tries = Number(await readFile(triesFile, 'utf8').catch(() => '0')) + 1;
      if (tries > rebootTries)
        throw new StepFailed(
          'host',
          `${host.host} never rebooted: its boot id is still ${before.boot.bootId} after ${rebootTries} times ${host.boot.rebootCommand.join(' ')}; look at its console.`,
        );
      await writeFile(triesFile, String(tries));
      note(`reboot ${tries} of at most ${rebootTries}`);
      // If the agent is being stopped, the cause may be the very reboot that it would request again.
      signal.throwIfAborted();
      // The command has to go on after it has stopped this agent.
      await run(host.boot.rebootCommand, { outlive: true });
      await sleep(withinMs, undefined, { signal });
      throw new Error(`${host.host} never rebooted: its boot id is still ${before.boot.bootId}.`);
    },
  });
  const after = await readBoot(host);
  const { before, secondsDown } = seen;
  const banner = seen.banner ?? (await imageBanner(image)); // an older version journalled none
  const outcome = rebootOutcome({ after, imageBanner: banner, boots: bootsAfter(before.bootId) }, release);
  const fellBack = outcome === 'fell-back' ? await howItEnded(host.boot.traces, seen, banner) : undefined;
  return {
    ...{ before, after, imageBanner: banner, package: installedVersion, outcome, secondsDown },
    ...(fellBack === undefined ? {} : { fellBack }),
  };
};
