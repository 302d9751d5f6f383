/** What waits at it goes on when it is opened. */
export interface Gate {
  readonly opened: Promise<void>
  readonly open: () => void
}

export const makeGate = (): Gate => {
  let open = () => {}
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  return { opened, open }
}
