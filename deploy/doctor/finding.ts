/** One thing that `ka doctor` checked. */
export interface Finding {
  what: string;
  fine: boolean;
  found: string;
  /** What to do about it. */
  mend: string;
}

export const fine = (what: string, found: string): Finding => ({ what, fine: true, found, mend: '' });
export const wrong = (what: string, found: string, mend: string): Finding => ({
  what,
  fine: false,
  found,
  mend,
});
