"""What has to be mended in the client. Each file says when it may go."""
