"""Call control over ARI: requests over HTTP, events over one WebSocket, handles on channels, bridges and so on."""
