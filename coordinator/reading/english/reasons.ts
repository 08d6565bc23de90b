import type { Opened, UnknownOf } from '../../../schemas/open.ts';
import type {
  EndReason,
  LostReason,
  RollbackFault,
  Stranded,
  SupersededReason,
  VoidedReason,
} from '../../../schemas/reasons.ts';
import type { End } from '../../decider/state.ts';
import { faultsWords } from './check-faults.ts';

const unknownWords = ({ named }: UnknownOf<'code'>): string => `${named}, which this version does not know`;
const withWords = (says: string): string => (says === '' ? '' : `: ${says}`);

/** Why an attempt no longer counts. */
export const supersededWords = (reason: Opened<SupersededReason>): string => {
  switch (reason.code) {
    case 'step-overdue':
      return `${reason.step} on ${reason.host} was still open after its limit of ${reason.limitSeconds} s`;
    case 'host-silent':
      return `${reason.host} has been silent for ${reason.silentSeconds} s, its grace is ${reason.graceSeconds} s`;
    case 'never-arrived':
      return `it was asked in epoch ${reason.epoch}, before the log was restored, and ${reason.host} has not heard of it`;
    case 'key-revoked':
      return `the key ${reason.publicKey} of ${reason.writer} was revoked, and hosts refuse what it has signed`;
    case 'iteration-ends':
      return `the iteration ends: ${endWords(reason.reason)}`;
    case 'unknown':
      return unknownWords(reason);
  }
};

/** Why an approval no longer counts. */
export const voidedWords = (reason: Opened<VoidedReason>): string =>
  reason.code === 'unknown' ? unknownWords(reason) : supersededWords(reason);

/** Why an iteration failed or was aborted. */
export const endWords = (reason: Opened<EndReason>): string => {
  switch (reason.code) {
    case 'aborted':
      return `${reason.by} aborted it${withWords(reason.says)}`;
    case 'rejected':
      return `review: ${reason.by} rejected it${withWords(reason.says)}`;
    case 'step-failed':
      return `${reason.step} on ${reason.host}: ${reason.says}`;
    case 'step-given-up':
      return `${reason.step} on ${reason.host}: ${supersededWords(reason.reason)}`;
    case 'check-failed':
      return `${reason.step}: ${reason.clause ?? reason.check}: ${faultsWords(reason.faults)}`;
    case 'nothing-to-build':
      return `land: nothing was committed to ${reason.repository}`;
    case 'went-back':
      return `${reason.host} ${reason.restored ? 'went' : 'could not go'} back to ${reason.version} on its own${withWords(reason.says)}`;
    case 'unproved':
      return reason.clauses
        .map(({ clause, verdict, faults }) => `${clause} ${verdict}: ${faultsWords(faults)}`)
        .join('; ');
    case 'unknown':
      return unknownWords(reason);
  }
};

/** Why a board counts as lost. */
export const lostWords = (host: string, reason: Opened<LostReason>): string => {
  switch (reason.code) {
    case 'overdue-and-silent':
      return `${reason.step} was still open after its limit of ${reason.limitSeconds} s, and ${host} has been silent for ${reason.silentSeconds} s`;
    case 'unknown':
      return unknownWords(reason);
  }
};

const rollbackWords = (fault: Opened<RollbackFault>): string => {
  switch (fault.code) {
    case 'not-asked':
      return 'not asked for';
    case 'not-done':
      return 'not done';
    case 'rollback-failed':
      return fault.says;
    case 'rollback-given-up':
      return supersededWords(fault.reason);
    case 'other-version':
      return `${fault.found} is installed, not ${fault.expected}`;
    case 'other-kernel':
      return `it came back on ${fault.procVersion}`;
    case 'unknown':
      return unknownWords(fault);
  }
};

/** What a person has to know and do by hand about a board that could not be put back. */
export const strandedWords = ({
  host,
  isLost,
  rollbacks,
  fault,
  version,
  backup,
}: Opened<Stranded>): string => {
  const what = isLost
    ? `${host} is lost and was not put back`
    : `the rollback failed ${rollbacks} times (${rollbackWords(fault)})`;
  const archive = backup ? `${backup.file}, also on ${backup.host} in ${backup.place}` : 'none';
  return `${what}: ${host} needs a person. By hand: unpack its backup of ${version} (${archive}) over its root, install the packages in it with pacman -U, sync, reboot`;
};

/** Why an iteration has ended. */
export const endingWords = (ended: End): string =>
  ended.status === 'closed' ? 'every clause has its verdict' : endedWords(ended);

/** How an iteration ended, and what a person has to do if its board was not put back. */
export const endedWords = ({
  reason,
  stranded,
}: {
  reason: Opened<EndReason>;
  stranded?: Opened<Stranded> | undefined;
}): string => [endWords(reason), ...(stranded ? [strandedWords(stranded)] : [])].join('; ');
