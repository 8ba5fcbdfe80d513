// Trades the token for a cookie. It comes after "#" in the address, which is never sent, and leaves
// the address at once.

const form = document.getElementById("form");
const field = document.getElementById("token");
const answer = document.getElementById("answer");

async function enter(token) {
  answer.textContent = "";
  try {
    const reply = await fetch("/login", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ token }),
    });
    if (reply.status === 204) {
      location.replace("/");
      return;
    }
    answer.textContent = (await reply.json()).error;
  } catch {
    answer.textContent = "The board does not answer.";
  }
  field.select();
}

function fromAddress() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (!given) return;
  history.replaceState(null, "", "/");
  enter(given);
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  enter(field.value.trim());
});
addEventListener("hashchange", fromAddress);
fromAddress();
