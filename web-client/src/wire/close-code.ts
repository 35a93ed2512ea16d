/** Codes of CLOSE. */
export enum CloseCode {
  drain = 4000,
  bad_frame,
  version,
  auth,
  auth_expired,
  hello_timeout,
  taken_over,
  stale_epoch,
  too_large,
  idle,
  overload,
  origin,
  internal,
  done,
}
