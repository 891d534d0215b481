"""Bad and hostile models and Hub answers, each with what is to become of it."""
