"""How a live run behaves when it goes on for long."""
