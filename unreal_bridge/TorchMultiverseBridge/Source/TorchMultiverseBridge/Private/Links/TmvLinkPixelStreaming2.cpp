// Pixel Streaming 2 (Unreal 5.5 to 5.7): the streamer of the module's default id responds and sends files.
//
// Its input component's header moved from Public to Internal and its methods are not exported, so the component is
// found by the name of its class and its event is bound by reflection: that holds in all three versions.
#include "TmvLink.h"
#include "TmvVersion.h"

#if TMV_PIXEL_STREAMING == 2

#include "Async/Async.h"
#include "Components/ActorComponent.h"
#include "GameFramework/Actor.h"
#include "IPixelStreaming2Module.h"
#include "IPixelStreaming2Streamer.h"
#include "PixelStreaming2Delegates.h"
#include "UObject/Class.h"
#include "UObject/StrongObjectPtr.h"
#include "UObject/UObjectGlobals.h"
#include "UObject/UnrealType.h"

#include "TmvInputRelay.h"

namespace
{
	class FTmvLinkPixelStreaming2 final : public ITmvLink
	{
	public:
		virtual ~FTmvLinkPixelStreaming2() override
		{
			Relay->Handler = nullptr;
			if (UPixelStreaming2Delegates* Delegates = UPixelStreaming2Delegates::Get())
			{
				Delegates->OnAllConnectionsClosedNative.Remove(Closed);
			}
		}

		virtual bool Attach(AActor& Host, FString& OutError) override
		{
			UClass* Class = LoadClass<UActorComponent>(nullptr, TEXT("/Script/PixelStreaming2.PixelStreaming2Input"));
			FMulticastDelegateProperty* Event =
				Class ? FindFProperty<FMulticastDelegateProperty>(Class, TEXT("OnInputEvent")) : nullptr;
			if (Event == nullptr)
			{
				OutError = TEXT("Pixel Streaming 2 has no input component with an event OnInputEvent: is its plugin enabled?");
				return false;
			}
			UActorComponent* Component = NewObject<UActorComponent>(&Host, Class);
			Component->RegisterComponent();
			if (!Component->HasBegunPlay())  // that is where it makes itself known to Pixel Streaming
			{
				OutError = TEXT("the input component did not begin play");
				return false;
			}
			Relay->Handler = [this](const FString& Text) { OnText(Text); };
			FScriptDelegate Delegate;
			Delegate.BindUFunction(Relay.Get(), TEXT("OnInput"));
			Event->AddDelegate(Delegate, Component);

			if (UPixelStreaming2Delegates* Delegates = UPixelStreaming2Delegates::Get(); Delegates && !Closed.IsValid())
			{
				Closed = Delegates->OnAllConnectionsClosedNative.AddLambda([Alive = TWeakPtr<int32, ESPMode::ThreadSafe>(Life), this](auto&&...)
				{
					AsyncTask(ENamedThreads::GameThread, [Alive, this]()
					{
						if (Alive.IsValid())
						{
							OnAllLeft();
						}
					});
				});
			}
			return true;
		}

		virtual void Respond(const FString& Text) override
		{
			if (const TSharedPtr<IPixelStreaming2Streamer> Streamer = Find())
			{
				Streamer->SendAllPlayersMessage(TEXT("Response"), Text);
			}
		}

		virtual void SendFile(const TArray64<uint8>& Bytes, const FString& Mime, const FString& Extension) override
		{
			if (const TSharedPtr<IPixelStreaming2Streamer> Streamer = Find())
			{
				FString MimeType = Mime, FileExtension = Extension;  // it takes them by reference
				Streamer->SendFileData(Bytes, MimeType, FileExtension);
			}
		}

	private:
		static TSharedPtr<IPixelStreaming2Streamer> Find()
		{
			if (!IPixelStreaming2Module::IsAvailable())
			{
				return nullptr;
			}
			IPixelStreaming2Module& Module = IPixelStreaming2Module::Get();
			return Module.FindStreamer(Module.GetDefaultStreamerID());
		}

		TStrongObjectPtr<UTmvInputRelay> Relay{NewObject<UTmvInputRelay>()};
		FDelegateHandle Closed;
		TSharedPtr<int32, ESPMode::ThreadSafe> Life = MakeShared<int32, ESPMode::ThreadSafe>(0);
	};
}

TUniquePtr<ITmvLink> MakeTmvLink()
{
	return MakeUnique<FTmvLinkPixelStreaming2>();
}

#endif
