// Requests to the server that the page came from. Every answer is JSON; an error is one line.

async function answered(response) {
  const answer = await response.json().catch(() => ({}));
  if (response.ok) return answer;
  const gone = response.status === 401 || (response.status === 404 && !answer.error);
  const reason = gone ? LOST : answer.error || `the server answered ${response.status}`;
  throw Object.assign(new Error(reason), { status: response.status });
}

const LOST = "this page is no longer known; open the address that `curate review` printed last";
const STOPPED = "`curate review` does not answer; start it again, and open the address that it prints";

async function asked(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw Object.assign(new Error(STOPPED), { status: 0 });
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
