/** What is wrong with a machine, a peer or a file, for callers that decide by it. */
export type MachineFaultCode =
  /** A disk is full. */
  | 'no-room'
  /** Nobody answers there. */
  | 'unreachable'
  /** The peer does not accept the key, or this machine has none to show. */
  | 'login-refused'
  /** The peer shows another host key than the pinned one. */
  | 'wrong-host-key'
  /** The peer does not have the file. */
  | 'no-such-file'
  /** The file has other bytes than expected. */
  | 'other-bytes'
  /** The peer's disk returns other bytes than were written. */
  | 'altered'
  /** The path could lead out of its folder. */
  | 'path-refused';

/**
 * A machine can't do what it is asked, and a retry a second later would not help. The message names the next thing to
 * do.
 */
export class MachineFault extends Error {
  override readonly name = 'MachineFault';
  readonly code: MachineFaultCode;

  constructor(code: MachineFaultCode, message: string, options: { cause?: unknown } = {}) {
    super(message, options);
    this.code = code;
  }
}

/** A program did not end with one of the expected exit codes. */
export class ProgramFailed extends Error {
  override readonly name: string = 'ProgramFailed';
  readonly program: string;
  readonly exitCode: number | undefined;
  readonly stdout: string;
  readonly stderr: string;

  constructor(
    program: string,
    how: string,
    facts: { exitCode: number | undefined; stdout: string; stderr: string; cause?: unknown },
  ) {
    const said = facts.stderr.trim().split('\n').at(-1) || facts.stdout.trim().split('\n').at(-1) || '';
    super(`${program} ${how}${said ? `: ${said}` : ''}`, { cause: facts.cause });
    this.program = program;
    this.exitCode = facts.exitCode;
    this.stdout = facts.stdout;
    this.stderr = facts.stderr;
  }
}

/** A program was stopped because it printed more than it may. */
export class PrintedTooMuch extends ProgramFailed {
  override readonly name = 'PrintedTooMuch';
}
