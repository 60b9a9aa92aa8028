// Requests to the server that the page came from. Every answer is JSON; an error is one line.

async function answered(response) {
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) {
    throw new Error(answer.error || (response.status === 401 ? LOST : `the server answered ${response.status}`));
  }
  return answer;
}

const LOST = "this page is no longer known: open the address that `curate review` printed last";

async function asked(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Error("`curate review` does not answer; is it still running?");
  }
  return answered(response);
}

export function get(path, parameters = {}) {
  const given = Object.entries(parameters).filter(([, value]) => value !== null && value !== undefined);
  return asked(`${path}?${new URLSearchParams(given)}`);
}

export function post(path, said) {
  return asked(path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(said),
  });
}
