import type { FleetEvent, IterationEvent, KaEvent, StepEvent } from '../../schemas/events.ts';
import { printable } from '../../schemas/printable.ts';
import { howItFellBack } from './english/fell-back.ts';
import { endedWords, lostWords, supersededWords, voidedWords } from './english/reasons.ts';
import { refusalWords } from './english/refusals.ts';
import { spokenSeconds } from './markdown.ts';

const short = (hash: string) => hash.slice(0, 12);
const count = (number: number, one: string, many = `${one}s`) => `${number} ${number === 1 ? one : many}`;

/** An error ends with a full stop; here it is part of a sentence. */
const withoutStop = (text: string) => text.replace(/\.$/, '');

const sawOf = (event: StepEvent & { fact: 'Succeeded' }): string => {
  switch (event.step) {
    case 'preflight': {
      const { patches, symbols, baseline, tree, release } = event.data.evidence;
      const applied = patches.filter(({ status }) => status === 'applied').length;
      return `${count(applied, 'patch', 'patches')} of ${patches.length} applied to ${baseline.tag}, tree ${short(tree)}, ${count(symbols.length, 'symbol')} found, release will be ${release.predicted}`;
    }
    case 'keycheck': {
      const { fingerprint, expires } = event.data.evidence;
      return `${fingerprint.slice(-16)} can sign${expires ? `, until ${expires.slice(0, 10)}` : ''}`;
    }
    case 'land':
      return event.data.evidence.commits
        .map(({ repository, commit }) => `${repository} ${short(commit)}`)
        .join(', ');
    case 'build': {
      const { packages, sources, seconds } = event.data.evidence;
      return `${packages.map(({ file }) => file).join(', ')} in ${spokenSeconds(seconds)}, ${sources.changed} of ${sources.files} sources changed`;
    }
    case 'publish': {
      const { fingerprint, database, mirror } = event.data.evidence;
      return `signed with ${fingerprint.slice(-16)}, database ${short(database.sha256)}${mirror ? ', mirrored' : ''}`;
    }
    case 'backup': {
      const { host, place, files, archive } = event.data.evidence;
      return `${count(files.length, 'file')} of ${event.data.evidence.version} on ${host} in ${place}, ${short(archive.sha256)}`;
    }
    case 'stage': {
      const { packages } = event.data.evidence;
      const paths = [...new Set(packages.flatMap(({ transfers }) => transfers.map(({ path }) => path)))];
      return `${count(packages.length, 'package')} by ${paths.join(', then ')}, signature and sha256 checked`;
    }
    case 'install': {
      const { version, packages, initramfs } = event.data.evidence;
      const files = packages.reduce((sum, { filesChecked }) => sum + filesChecked, 0);
      return `${version}, ${count(files, 'file')} checked, initramfs ${short(initramfs.sha256)}`;
    }
    case 'reboot': {
      const { outcome, after, secondsDown, fellBack } = event.data.evidence;
      const how = fellBack ? `; ${howItFellBack(fellBack)}` : '';
      return `${outcome} after ${spokenSeconds(secondsDown)}, ${after.release}, boot ${after.bootId.slice(0, 8)}${how}`;
    }
    case 'presweep':
    case 'sweep': {
      const { table, version } = event.data.evidence;
      return `${count(table.length, 'cell')} on ${version}, ${table.filter(({ status }) => status === 'ok').length} with a hash`;
    }
    case 'confirm': {
      const { version, boot, deadline } = event.data.evidence;
      return `${version} stays, boot ${boot.bootId.slice(0, 8)}, ${deadline === 'disarmed' ? 'the deadline is called off' : 'no deadline was armed'}`;
    }
    case 'rollback': {
      const { installed, rebooted } = event.data.evidence;
      return `back on ${installed.version}, ${rebooted.after.release}, boot ${rebooted.after.bootId.slice(0, 8)}`;
    }
    case 'record': {
      const { repository, commit, files } = event.data.evidence.commit;
      return `${repository} ${short(commit)}: ${files.map(({ path }) => path).join(', ')}`;
    }
  }
};

const stepLine = (event: StepEvent): string => {
  const again = event.attempt > 1 ? ` (attempt ${event.attempt})` : '';
  switch (event.fact) {
    case 'Requested':
      return `${event.step} asked of ${event.data.host}${again}`;
    case 'Succeeded':
      return `${event.step} done by ${event.source} in ${spokenSeconds(event.data.seconds)}: ${sawOf(event)}`;
    case 'Failed':
      return `${event.step} FAILED on ${event.source}${again}: ${event.data.reason}`;
    case 'Superseded':
      return `${event.step} of ${event.data.host} superseded${again}: ${supersededWords(event.data.reason)}`;
  }
};

/** Where the work goes on, as the plan states it. */
export const goBackWords = (goBack: unknown): string =>
  typeof goBack === 'string' ? goBack : `what the plan says in a way that this version does not know`;

/** What was known about a board before it was lost. */
export const lastSeenOf = (
  seen: { bootId: string; release: string; package: string | null } | null,
): string =>
  seen
    ? `last seen with ${seen.package ?? 'no package'} on ${seen.release}, boot ${seen.bootId.slice(0, 8)}`
    : 'it was never seen';

const iterationLine = (event: IterationEvent): string => {
  const { type, data } = event;
  switch (type) {
    case 'IterationStarted':
      return `started by ${data.by}: ${data.plan.title}, plan ${short(data.planSha256)}, ${count(data.series.length, 'patch', 'patches')}`;
    case 'IterationAccepted':
      return `accepted: signing key ${data.fleet.signingKey.slice(-16)}${data.rules.length > 0 ? `, rules ${data.rules.join(', ')}` : ''}`;
    case 'IterationRefused':
      return `REFUSED: ${refusalWords(event.iteration, data.reason)}`;
    case 'ReviewRequested':
      return `review waits for ${data.approvals.join(', ')}: ${data.trees.map(({ purpose, tree }) => `${purpose} tree ${short(tree)}`).join(', ')}`;
    case 'ReviewApproved':
      return `review approved by ${data.by}: ${data.note}`;
    case 'ReviewRejected':
      return `review REJECTED by ${data.by}: ${data.note}`;
    case 'ApprovalExpired':
      return `the approval of ${data.by} has expired, ${data.expires}`;
    case 'ApprovalVoided':
      return `the approval of ${data.by} no longer counts: ${voidedWords(data.reason)}`;
    case 'ClauseWaived':
      return `${data.clause} waived by ${data.by}: ${data.why}`;
    case 'RetryAsked':
      return `retry asked by ${data.by}`;
    case 'RetryAccepted':
      return 'retry accepted';
    case 'RetryRefused':
      return `retry REFUSED: ${refusalWords(event.iteration, data.reason)}`;
    case 'AbortAsked':
      return `abort asked by ${data.by}${data.why ? `: ${data.why}` : ''}`;
    case 'BoardLost':
      return `${data.host} is LOST: ${lostWords(data.host, data.reason)}; ${lastSeenOf(data.lastSeen)}`;
    case 'DeadlinePassed':
      return data.restored
        ? `${event.source} went back to ${data.version} on its own: ${data.because}`
        : `${event.source} COULD NOT go back to ${data.version} on its own: ${data.because}`;
    case 'IterationClosed':
      return `CLOSED: ${data.clauses.map(({ id, verdict }) => `${id} ${verdict}`).join(', ')}`;
    case 'IterationFailed':
      return `FAILED: ${withoutStop(endedWords(data))}${data.boardRolledBack ? '; the board was rolled back' : ''}. Go back to: ${goBackWords(data.goBack)}`;
    case 'IterationAborted':
      return `ABORTED: ${withoutStop(endedWords(data))}${data.boardRolledBack ? '; the board was rolled back' : ''}`;
  }
};

const fleetLine = (event: FleetEvent): string => {
  switch (event.type) {
    case 'AgentStarted':
      return `agent of ${event.source} started: ${event.data.role}, boot ${event.data.bootId.slice(0, 8)}, ${event.data.package ?? event.data.release}`;
    case 'LogRestored': {
      const { epoch, by, rebuilt, missing } = event.data;
      return `log RESTORED by ${by}: epoch ${epoch}, ${count(rebuilt, 'event')} appended again, ${missing} missing`;
    }
    case 'Checkpointed':
      return `checkpoint for ${event.data.host}: ${count(event.data.size, 'event')}, ${event.data.root.slice(0, 12)}`;
    case 'KeyRotated':
      return `${event.source} has a new key: ${event.data.publicKey}`;
    case 'KeyRevoked':
      return `key of ${event.data.writer} REVOKED by ${event.data.by}: ${event.data.why}`;
    case 'RefusalAcknowledged':
      return `${count(event.data.messages.length, 'refused message')} acknowledged by ${event.data.by}: ${event.data.why}`;
  }
};

const lineOf = (event: KaEvent): string => {
  switch (event.kind) {
    case 'step':
      return stepLine(event);
    case 'iteration':
      return iterationLine(event);
    case 'fleet':
      return fleetLine(event);
    case 'unknown':
      return event.lacks
        ? `${event.type} by ${event.source} (${event.lacks.length} of its blobs can't be read: ${event.lacks.map(({ sha256 }) => sha256.slice(0, 12)).join(', ')})`
        : `${event.type} by ${event.source} (a type that this version does not know)`;
  }
};

/** An event in one line, for people. No text of its writer can act on a terminal. */
export const eventLine = (event: KaEvent): string => printable(lineOf(event));
