#include "TmvReadback.h"

#include "Engine/TextureRenderTarget2D.h"
#include "RHICommandList.h"
#include "RenderingThread.h"
#include "TextureResource.h"

TSharedRef<FTmvReadback, ESPMode::ThreadSafe> FTmvReadback::Begin(UTextureRenderTarget2D& Target, int32 BytesPerPixel)
{
	TSharedRef<FTmvReadback, ESPMode::ThreadSafe> Self = MakeShared<FTmvReadback, ESPMode::ThreadSafe>();
	Self->Height = Target.SizeY;
	Self->Bytes = BytesPerPixel;
	FTextureRenderTargetResource* Resource = Target.GameThread_GetRenderTargetResource();
	ENQUEUE_RENDER_COMMAND(TmvBeginReadback)
	([Self, Resource](FRHICommandListImmediate& RHICmdList)
	{
		// After the captures of this frame: render commands run in the order in which they were enqueued.
		Self->Readback = MakeUnique<FRHIGPUTextureReadback>(TEXT("TmvReadback"));
		FRHITexture* Texture = Resource->GetRenderTargetTexture();
		RHICmdList.Transition(FRHITransitionInfo(Texture, ERHIAccess::Unknown, ERHIAccess::CopySrc));
		Self->Readback->EnqueueCopy(RHICmdList, Texture);
		RHICmdList.Transition(FRHITransitionInfo(Texture, ERHIAccess::CopySrc, ERHIAccess::SRVMask));
	});
	return Self;
}

bool FTmvReadback::Poll()
{
	if (bDone.load(std::memory_order_acquire))
	{
		return true;
	}
	TSharedRef<FTmvReadback, ESPMode::ThreadSafe> Self = AsShared();
	ENQUEUE_RENDER_COMMAND(TmvPollReadback)
	([Self](FRHICommandListImmediate&)
	{
		if (!Self->Readback || !Self->Readback->IsReady())
		{
			return;
		}
		int32 Pitch = 0;
		const void* Locked = Self->Readback->Lock(Pitch);
		if (Locked)
		{
			Self->RowPitch = Pitch;
			Self->Pixels.SetNumUninitialized(static_cast<int64>(Pitch) * Self->Height * Self->Bytes);
			FMemory::Memcpy(Self->Pixels.GetData(), Locked, static_cast<SIZE_T>(Self->Pixels.Num()));
		}
		Self->Readback->Unlock();
		Self->Readback.Reset();
		Self->bDone.store(true, std::memory_order_release);
	});
	return false;
}
