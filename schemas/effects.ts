import type { StepName } from './step-names.ts';

/**
 * Every effect of every step, in the order in which they happen. The type of an effect's name follows from it, so one
 * that is not named here does not compile; the fault suite kills an agent around each, and fails for one that it did
 * not meet.
 */
export const stepEffects = {
  preflight: [],
  keycheck: ['trial'],
  land: ['manifest', 'package'],
  build: ['checkout', 'packages'],
  publish: ['trial', 'fetch', 'sign', 'view', 'swap', 'mirror'],
  presweep: ['table'],
  backup: ['archive', 'copy'],
  /** One a package file: its name follows. */
  stage: ['package'],
  install: ['hold', 'packages', 'initramfs'],
  reboot: ['arm', 'trial', 'reboot'],
  sweep: ['table'],
  confirm: ['settle', 'disarm'],
  rollback: ['disarm', 'archive', 'packages', 'files', 'settle', 'reboot'],
  record: ['commit'],
} as const satisfies Record<StepName, readonly string[]>;

/** The names of a step's effects. */
export type EffectName<Name extends StepName = StepName> = (typeof stepEffects)[Name][number];
